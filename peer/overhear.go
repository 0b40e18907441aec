package peer

// Overhear reads a datagram into h, as Parse does, and does not check its tag: to
// show people what is on the wire. Nothing may be decided by it.
func (p *Parser) Overhear(datagram []byte, h *Hello) error {
	if !versionKnown(datagram) {
		return ErrVersion
	}
	body, _, err := untag(datagram)
	if err != nil {
		return err
	}
	return p.Parse(body, h)
}
