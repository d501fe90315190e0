// Says what Go makes of an input, for rules that the agent takes from there. Reads one input a line, as JSON, and
// writes one line each. The only argument is the rule.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	_ "unsafe" // for the names of package net

	"github.com/containerd/containerd/v2/core/remotes/docker/auth"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/http/httpproxy"
)

func main() {
	rules := map[string]func([]byte) []string{
		"url": parsed, "proxy": proxy, "resolv_conf": resolvConf, "token": token, "redirects": redirects,
		"challenge": challenge, "token_url": tokenURL, "document": document, "lookup": lookup,
	}
	rule := rules[os.Args[1]]
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		line, err := json.Marshal(rule(lines.Bytes()))
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(out, string(line))
	}
	if err := lines.Err(); err != nil {
		panic(err)
	}
}

func read[T any](line []byte) (input T) {
	if err := json.Unmarshal(line, &input); err != nil {
		panic(err)
	}
	return input
}

var failed = []string{"error"}

// parsed: what url.Parse finds before the path.
func parsed(line []byte) []string {
	u, err := url.Parse(read[string](line))
	if err != nil {
		return failed
	}
	password, _ := u.User.Password()
	return []string{u.Scheme, u.User.Username(), password, u.Hostname(), u.Port()}
}

// proxy: which proxy http.Transport dials for a URL.
func proxy(line []byte) []string {
	input := read[struct{ HTTP, HTTPS, NoProxy, URL string }](line)
	config := httpproxy.Config{HTTPProxy: input.HTTP, HTTPSProxy: input.HTTPS, NoProxy: input.NoProxy}
	to, err := url.Parse(input.URL)
	if err != nil {
		panic(err)
	}
	by, err := config.ProxyFunc()(to)
	if err != nil {
		return failed
	}
	if by == nil {
		return []string{"direct"}
	}
	password, _ := by.User.Password()
	// The agent has no tables of Unicode: a name beyond ASCII stays as it is, where Go makes xn-- of it.
	host, port := by.Hostname(), by.Port()
	if host == "" {
		host = "localhost"
	}
	scheme, known := map[string]string{"http": "http", "https": "https", "socks5": "socks5", "socks5h": "socks5"}[by.Scheme]
	if !known {
		scheme = "http"
	}
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[by.Scheme]
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		port = "0"
	}
	return []string{scheme, by.User.Username(), password, strings.ToLower(host), strings.TrimLeft(port, "0")}
}

// What package net reads of a resolv.conf (net/dnsconfig.go).
type dnsConfig struct {
	servers       []string
	search        []string
	ndots         int
	timeout       time.Duration
	attempts      int
	rotate        bool
	unknownOpt    bool
	lookup        []string
	err           error
	mtime         time.Time
	soffset       uint32
	singleRequest bool
	useTCP        bool
	trustAD       bool
	noReload      bool
}

//go:linkname dnsReadConfig net.dnsReadConfig
func dnsReadConfig(string) *dnsConfig

//go:linkname nameList net.(*dnsConfig).nameList
func nameList(*dnsConfig, string) []string

//go:linkname getHostname net.getHostname
var getHostname func() (string, error)

var file = filepath.Join(os.TempDir(), fmt.Sprintf("resolv.conf-%d", os.Getpid()))

// resolvConf: the settings, and the names that are asked for.
func resolvConf(line []byte) []string {
	// Without a search list Go takes the domain of the host's own name.
	getHostname = func() (string, error) { return "node", nil }
	input := read[struct{ Conf, Host string }](line)
	if err := os.WriteFile(file, []byte(input.Conf), 0o600); err != nil {
		panic(err)
	}
	defer os.Remove(file)
	conf := dnsReadConfig(file)
	var servers []string
	for _, server := range conf.servers {
		at, err := netip.ParseAddr(strings.Trim(strings.TrimSuffix(server, ":53"), "[]"))
		if err != nil {
			panic(err)
		}
		servers = append(servers, at.WithZone("").String())
	}
	var names []string
	for _, name := range nameList(conf, input.Host) {
		// What is no name on the wire is not asked for.
		question := dnsmessage.NewBuilder(nil, dnsmessage.Header{})
		_ = question.StartQuestions()
		wire, err := dnsmessage.NewName(name)
		if err == nil {
			err = question.Question(dnsmessage.Question{Name: wire})
		}
		if err == nil {
			names = append(names, name)
		}
	}
	return []string{
		strings.Join(servers, " "), strings.Join(conf.search, " "),
		fmt.Sprint(conf.ndots, conf.timeout.Seconds(), conf.attempts, conf.rotate, conf.useTCP, conf.singleRequest),
		strings.Join(names, " "),
	}
}

// token: what containerd takes from the body of a token response.
func token(line []byte) []string {
	var response auth.FetchTokenResponse
	if err := json.NewDecoder(bytes.NewReader(read[[]byte](line))).Decode(&response); err != nil {
		return failed
	}
	if response.AccessToken != "" {
		return []string{response.AccessToken}
	}
	return []string{response.Token}
}
