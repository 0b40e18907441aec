package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// tableName is the name of our tables, one in family ip and one in ip6.
const tableName = "vipd"

// The TTL (IPv4) or hop limit (IPv6) counts how often a packet was passed on. A
// packet below or at firstTTL has been: only clients more than 48 hops away
// look like that by nature, and they are limited in hops only. The kernel lowers
// it by one each time.
const (
	firstTTL = 16
	lastTTL  = 5 // not passed on any more
)

// Dynamic sets, filled by packets, and how long an entry stays.
const (
	setSeen     = "seen"     // source . port . VIP . port: who is opening a connection
	setFull     = "full"     // VIP: @seen had no room
	setSettling = "settling" // VIP: its role has just changed

	seenFor   = 10 * time.Second
	settleFor = time.Second

	// seenSize is for 6,500 SYNs a second, in some 8 MB.
	seenSize = 65536
	// vipsSize is how many VIPs of a family can be counted.
	vipsSize = 1024
	// countFor is how long a count outlives its last packet.
	countFor = time.Hour
)

// Dynamic sets that count packets by VIP.
const (
	countForwarded = "forwarded" // passed on
	countLeft      = "left"      // passed on, and past all filters of this host
	countLooped    = "looped"    // passed on too often, handed to this host's kernel
	countDropped   = "dropped"   // passed on too often while roles changed
	countErrors    = "errors"    // ICMP errors of which a copy was passed on
)

func counters() []string {
	return []string{countForwarded, countLeft, countLooped, countDropped, countErrors}
}

// The chains.
const (
	chainPrerouting = "prerouting"
	chainLeaving    = "leaving"
	chainAsking     = "asking"
	chainOwner      = "owner"
	chainShadow     = "shadow"
	chainOnward     = "onward"
	chainFirst      = "first"
	chainForwarded  = "forwarded"
	chainLooped     = "looped"
	chainSettling   = "settling"
	chainError      = "error"
	chainCopied     = "copied"
)

// priorityLast: behind everybody who may still drop (NF_IP_PRI_LAST).
const priorityLast = nftables.ChainPriority(1<<31 - 1)

// ruleset is the constant part of our table of one family.
type ruleset struct {
	headers
	table  *nftables.Table
	sets   []*nftables.Set
	chains []*nftables.Chain
	rules  []*nftables.Rule
	// icmpErrors is the set without name of the types that matter.
	icmpErrors *nftables.Set
}

// newRuleset builds the rules of a family. guard adds the rule that bounds what
// accept_local lets in; it needs the kernel's fib expression.
func newRuleset(h headers, guard bool) (*ruleset, error) {
	r := &ruleset{headers: h, table: &nftables.Table{Family: h.family, Name: tableName}}
	r.declareSets()
	r.declareChains()
	r.prerouting(guard)
	r.owner()
	r.shadow()
	r.onward()
	r.errors()
	r.leaving()
	if r.v6() {
		r.asking()
	}
	version, err := r.digest()
	if err != nil {
		return nil, err
	}
	// A chain that nobody jumps to tells tables of other versions apart.
	r.chain(version)
	r.rule(version, local())
	return r, nil
}

func (r *ruleset) v6() bool { return r.family == nftables.TableFamilyIPv6 }

func (r *ruleset) declareSets() {
	iface, port := nftables.TypeIFIndex, nftables.TypeInetService
	state := func(name string, key ...nftables.SetDatatype) *nftables.Set {
		return r.set(nftables.Set{Name: name, HasTimeout: true}, key...)
	}
	dynamic := func(name string, size uint32, timeout time.Duration, key ...nftables.SetDatatype) {
		r.set(nftables.Set{Name: name, HasTimeout: true, Dynamic: true, Size: size, Timeout: timeout}, key...)
	}
	mapping := func(name string, value nftables.SetDatatype) {
		m := state(name, r.address)
		m.IsMap, m.DataType = true, value
	}
	state(setOwned, iface, r.address, port)
	state(setShadowed, iface, r.address, port)
	state(setVIPs, iface, r.address)
	state(setGuarded, iface).KeyByteOrder = binaryutil.NativeEndian
	// nft(8) shows an interface alone as a wrong number.
	mapping(mapOut, nftables.MustConcatSetType(iface, port))
	mapping(mapPrev, r.address)
	mapping(mapOwners, r.address)
	if r.v6() {
		mapping(mapAsks, r.address)
	}
	state(setSettling, r.address).Timeout = settleFor
	dynamic(setSeen, seenSize, seenFor, r.address, port, r.address, port)
	dynamic(setFull, vipsSize, seenFor, r.address)
	for _, name := range counters() {
		dynamic(name, vipsSize, countFor, r.address)
	}
	r.icmpErrors = r.set(nftables.Set{Name: "__set%d", Anonymous: true, Constant: true}, r.icmpType)
}

// set declares a set. Numbers tell the sets of one transaction apart, so those
// of the families differ.
func (r *ruleset) set(s nftables.Set, key ...nftables.SetDatatype) *nftables.Set {
	s.Table = r.table
	s.ID = uint32(r.family)<<8 + uint32(len(r.sets)) + 1 //nolint:gosec // some twenty
	s.KeyType = key[0]
	if len(key) > 1 {
		s.KeyType = nftables.MustConcatSetType(key...)
		s.Concatenation = true
	}
	r.sets = append(r.sets, &s)
	return &s
}

// named finds a set.
func (r *ruleset) named(name string) *nftables.Set {
	for _, s := range r.sets {
		if s.Name == name {
			return s
		}
	}
	panic("flow: no set " + name)
}

func (r *ruleset) declareChains() {
	r.hooked(chainPrerouting, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	r.hooked(chainLeaving, nftables.ChainHookPostrouting, nftables.ChainPriorityRef(priorityLast))
	if r.v6() {
		r.hooked(chainAsking, nftables.ChainHookOutput, nftables.ChainPriorityRaw)
	}
	for _, name := range []string{chainOwner, chainShadow, chainOnward, chainFirst, chainForwarded, chainLooped, chainSettling, chainError, chainCopied} {
		r.chain(name)
	}
}

// hooked declares a chain that the kernel shows packets to.
func (r *ruleset) hooked(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority) {
	c, accept := r.chain(name), nftables.ChainPolicyAccept
	c.Type, c.Hooknum, c.Priority, c.Policy = nftables.ChainTypeFilter, hook, priority, &accept
}

func (r *ruleset) chain(name string) *nftables.Chain {
	c := &nftables.Chain{Name: name, Table: r.table}
	r.chains = append(r.chains, c)
	return c
}

// rule adds a rule to a chain.
func (r *ruleset) rule(chain string, statements ...[]expr.Any) {
	r.rules = append(r.rules, &nftables.Rule{
		Table: r.table, Chain: &nftables.Chain{Name: chain, Table: r.table}, Exprs: rule(statements...),
	})
}

// digest names the version of these rules by their content.
func (r *ruleset) digest() (string, error) {
	sum := sha256.New()
	for _, s := range r.sets {
		fmt.Fprintln(sum, s.Name, s.KeyType, s.DataType, s.Size, s.Timeout, s.Dynamic, s.HasTimeout)
	}
	for _, rule := range r.rules {
		fmt.Fprintln(sum, rule.Chain.Name)
		for _, e := range rule.Exprs {
			b, err := expr.Marshal(byte(r.family), e)
			if err != nil {
				return "", fmt.Errorf("encode the rules of chain %s: %w", rule.Chain.Name, err)
			}
			sum.Write(b)
		}
	}
	return "version_" + hex.EncodeToString(sum.Sum(nil)[:4]), nil
}
