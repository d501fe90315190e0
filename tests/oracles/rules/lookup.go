package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
	_ "unsafe" // for the names of package net

	"golang.org/x/net/dns/dnsmessage"
)

//go:linkname goLookupIPCNAMEOrder net.(*Resolver).goLookupIPCNAMEOrder
func goLookupIPCNAMEOrder(*net.Resolver, context.Context, string, string, int, *dnsConfig) ([]net.IPAddr, dnsmessage.Name, error)

// hostLookupDNS of net/conf.go.
const hostLookupDNS = 4

// A nameserver answers each name in one way.
type answers map[string]string

// A question on its way to a nameserver.
type question struct {
	net.PacketConn
	server  string
	answers answers
	asked   []byte
}

type address string

func (a address) Network() string { return "udp" }
func (a address) String() string  { return string(a) }

func (q *question) failed(operation string, err error) error {
	return &net.OpError{Op: operation, Net: "udp", Source: address("*"), Addr: address(q.server), Err: err}
}

func (q *question) Write(packet []byte) (int, error) {
	q.asked = append([]byte{}, packet...)
	return len(packet), nil
}

func (q *question) Read(into []byte) (int, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(q.asked)
	if err != nil {
		panic(err)
	}
	asked, err := parser.Question()
	if err != nil {
		panic(err)
	}
	answer := q.answers[asked.Name.String()+" "+map[dnsmessage.Type]string{dnsmessage.TypeA: "A", dnsmessage.TypeAAAA: "AAAA"}[asked.Type]]
	header.Response, header.RecursionAvailable = true, true
	var addresses []string
	switch answer {
	case "timeout":
		return 0, q.failed("read", os.ErrDeadlineExceeded)
	case "nxdomain", "":
		header.RCode = dnsmessage.RCodeNameError
	case "servfail":
		header.RCode = dnsmessage.RCodeServerFailure
	case "refused":
		header.RCode = dnsmessage.RCodeRefused
	case "lame":
		header.RecursionAvailable = false
	case "nodata":
	default:
		addresses = strings.Fields(answer)
	}
	builder := dnsmessage.NewBuilder(nil, header)
	_ = builder.StartQuestions()
	_ = builder.Question(asked)
	_ = builder.StartAnswers()
	for _, text := range addresses {
		head := dnsmessage.ResourceHeader{Name: asked.Name, Class: dnsmessage.ClassINET}
		if at := netip.MustParseAddr(text); at.Is4() {
			_ = builder.AResource(head, dnsmessage.AResource{A: at.As4()})
		} else {
			_ = builder.AAAAResource(head, dnsmessage.AAAAResource{AAAA: at.As16()})
		}
	}
	packet, err := builder.Finish()
	if err != nil {
		panic(err)
	}
	return copy(into, packet), nil
}

func (q *question) Close() error                     { return nil }
func (q *question) LocalAddr() net.Addr              { return address("*") }
func (q *question) RemoteAddr() net.Addr             { return address(q.server) }
func (q *question) SetDeadline(time.Time) error      { return nil }
func (q *question) SetReadDeadline(time.Time) error  { return nil }
func (q *question) SetWriteDeadline(time.Time) error { return nil }

// lookup: the addresses of a name, or the error, where nameservers answer as the input says.
func lookup(line []byte) []string {
	input := read[struct {
		Host     string
		Servers  []answers
		Search   []string
		Ndots    int
		Attempts int
		Rotate   bool
		Offset   uint32
		Single   bool
	}](line)
	conf := &dnsConfig{
		search: input.Search, ndots: input.Ndots, attempts: input.Attempts, rotate: input.Rotate, soffset: input.Offset,
		singleRequest: input.Single, timeout: time.Hour,
	}
	by := map[string]answers{}
	for number, server := range input.Servers {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(number + 1)}), 53).String()
		conf.servers = append(conf.servers, at)
		by[at] = server
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(_ context.Context, network, server string) (net.Conn, error) {
		q := &question{server: server, answers: by[server]}
		switch by[server]["dial"] {
		case "unreachable":
			return nil, &net.OpError{Op: "dial", Net: "udp", Addr: address(server), Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}
		case "prohibited":
			return nil, &net.OpError{Op: "dial", Net: "udp", Addr: address(server), Err: os.NewSyscallError("connect", syscall.EACCES)}
		}
		return q, nil
	}}
	found, _, err := goLookupIPCNAMEOrder(resolver, context.Background(), "ip", input.Host, hostLookupDNS, conf)
	if err != nil {
		return []string{err.Error()}
	}
	var addresses []string
	for _, one := range found {
		addresses = append(addresses, one.IP.String())
	}
	return addresses
}
