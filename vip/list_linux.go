package vip

// List returns the interfaces of the calling thread's network namespace with
// their addresses, as they are now. It needs no capability.
func List() ([]Interface, error) {
	kernel, err := openRTNetlink()
	if err != nil {
		return nil, err
	}
	defer kernel.Close()
	return (&watch{kernel: kernel}).list()
}
