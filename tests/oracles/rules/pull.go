package main

import (
	"context"
	_ "crypto/sha512" // containerd takes its digests
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes/docker/auth"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A script answers requests one after another. What http.Transport would not send, it does not send either.
type script struct {
	answers []struct {
		Status   int
		Location string
	}
	asked   []string
	last    *url.URL
	strange bool
}

func (s *script) RoundTrip(request *http.Request) (*http.Response, error) {
	u := request.URL
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("not sent")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, errors.New("no such port")
	}
	s.last = u
	s.strange = s.strange || isStrange(u)
	host := strings.ToLower(u.Hostname())
	if address, err := netip.ParseAddr(host); err == nil && address.Is6() {
		host = "[" + address.String() + "]"
	}
	s.asked = append(s.asked, fmt.Sprintf("%s %s://%s:%d %s %t", request.Method, u.Scheme, host, number, u.RequestURI(),
		request.Header.Get("Authorization") != ""))
	status, header := 200, http.Header{}
	if len(s.answers) > 0 {
		status = s.answers[0].Status
		header.Set("Location", s.answers[0].Location)
		s.answers = s.answers[1:]
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("{}")), Request: request}, nil
}

var plainHost = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?$`)

// Browsers leave out such parts of a path, however written; Go does so in redirects alone.
var dots = regexp.MustCompile(`(?i)/(\.|%2e){1,2}(/|$)`)

// isStrange: the agent's URLs, which are those of browsers, can't express every one of Go's. It follows none of
// these, or as Go does.
func isStrange(u *url.URL) bool {
	host := u.Hostname()
	address, err := netip.ParseAddr(host)
	isAddress := err == nil && address.String() == host && address.Zone() == ""
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := labels[len(labels)-1]
	isNumber := last != "" && (strings.Trim(last, "0123456789") == "" || strings.HasPrefix(strings.ToLower(last), "0x"))
	return !isAddress && (!plainHost.MatchString(host) || isNumber || strings.Contains(strings.ToLower(host), "xn--")) ||
		u.User != nil || dots.MatchString(u.EscapedPath()) ||
		strings.ContainsFunc(u.RawQuery, func(c rune) bool { return strings.ContainsRune(" \"'<>", c) || c > '~' })
}

func (s *script) result(end string) []string {
	result := append(s.asked, end)
	if s.strange {
		return append([]string{"strange"}, result...)
	}
	return result
}

// redirects: what http.Client asks, as containerd sets it up, and how it ends.
func redirects(line []byte) []string {
	input := read[struct {
		Method, First string
		Answers       []struct {
			Status   int
			Location string
		}
	}](line)
	s := &script{answers: input.Answers}
	client := http.Client{Transport: s, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
		if len(via) >= 10 {
			return errors.New("stopped after 10 redirects")
		}
		return nil
	}}
	request, err := http.NewRequest(input.Method, input.First, nil)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "Bearer token")
	response, err := client.Do(request)
	if err != nil {
		return s.result("error")
	}
	return s.result(strconv.Itoa(response.StatusCode))
}

// challenge: the first that containerd answers.
func challenge(line []byte) []string {
	for _, challenge := range auth.ParseAuthHeader(http.Header{"Www-Authenticate": read[[]string](line)}) {
		if challenge.Scheme != auth.DigestAuth {
			p := challenge.Parameters
			isBearer := strconv.FormatBool(challenge.Scheme == auth.BearerAuth)
			return []string{isBearer, p["realm"], p["service"], p["scope"], p["error"]}
		}
	}
	return failed
}

// tokenURL: where containerd asks for a token.
func tokenURL(line []byte) []string {
	input := read[struct {
		Realm, Service string
		Scopes         []string
	}](line)
	parameters := map[string]string{"realm": input.Realm, "service": input.Service}
	options, err := auth.GenerateTokenOptions(context.Background(), "", "", "", auth.Challenge{Parameters: parameters})
	if err != nil {
		return failed
	}
	options.Scopes = input.Scopes
	s := &script{}
	_, _ = auth.FetchToken(context.Background(), &http.Client{Transport: s}, nil, options)
	if s.last == nil {
		return failed
	}
	target := strings.Fields(s.asked[0])
	path, query, _ := strings.Cut(target[2], "?")
	for scheme, port := range map[string]string{"http": ":80", "https": ":443"} {
		if strings.HasPrefix(target[1], scheme+"://") {
			target[1] = strings.TrimSuffix(target[1], port)
		}
	}
	s.asked = []string{target[1] + path}
	for _, pair := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, _ = url.QueryUnescape(name)
		value, _ = url.QueryUnescape(value)
		s.asked = append(s.asked, name+"="+value)
	}
	result := s.result("")
	return result[:len(result)-1]
}

// A provider has one document.
type provider []byte

func (p provider) ReaderAt(context.Context, ocispec.Descriptor) (content.ReaderAt, error) {
	return reader{strings.NewReader(string(p))}, nil
}

type reader struct{ *strings.Reader }

func (reader) Close() error { return nil }

// document: what containerd takes from an index, a manifest or a configuration.
func document(line []byte) []string {
	input := read[struct {
		Kind   string
		Body   []byte
		Layers int
	}](line)
	spec := platforms.MustParse("linux/amd64")
	node := platforms.Only(spec)
	of := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(input.Body), Size: int64(len(input.Body))}
	all := images.ChildrenHandler(provider(input.Body))
	handler := images.LimitManifests(images.FilterPlatforms(all, node), node, 1)
	switch input.Kind {
	case "index":
		// The transfer service fetches these, the best first here, and CRI looks for this one, and for what it measures.
		fetched := images.LimitManifests(images.FilterPlatforms(all, platforms.Ordered(spec)), node, 0)
		handler = kept(handler, fetched, images.LimitManifests(all, node, 1))
	case "manifest":
		of.MediaType = ocispec.MediaTypeImageManifest
		handler = all
	case "config":
		// The runtime reads it so; the one who unpacks reads less, and starts with the first layer.
		var image ocispec.Image
		if err := json.Unmarshal(input.Body, &image); err != nil {
			return failed
		}
		if input.Layers > 0 && (input.Layers != len(image.RootFS.DiffIDs) || !areOfLayers(image.RootFS.DiffIDs)) || !node.Match(platforms.Normalize(image.Platform)) {
			return failed
		}
		return []string{}
	}
	children, err := handler(context.Background(), of)
	if err != nil {
		return failed
	}
	shown := []string{}
	for _, child := range children {
		if child.Digest.Validate() != nil || child.Size < 0 {
			return failed
		}
		shown = append(shown, fmt.Sprintf("%s %s %d", child.MediaType, child.Digest, child.Size))
	}
	return shown
}

// areOfLayers tells what an unpacked layer may have been called.
func areOfLayers(ids []digest.Digest) bool {
	return !slices.ContainsFunc(ids, func(id digest.Digest) bool { return id.Validate() != nil || id.Algorithm() != digest.SHA256 })
}

// kept is what was fetched, where all that the others look for is among it.
func kept(chooses, fetches, measures images.HandlerFunc) images.HandlerFunc {
	return func(ctx context.Context, of ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		chosen, err := chooses(ctx, of)
		if err != nil {
			return nil, err
		}
		fetched, err := fetches(ctx, of)
		if err != nil {
			return nil, err
		}
		measured, err := measures(ctx, of)
		if err != nil {
			return nil, err
		}
		for _, needed := range append(measured, chosen...) {
			has := func(one ocispec.Descriptor) bool { return one.Digest == needed.Digest }
			if !slices.ContainsFunc(fetched, has) {
				return nil, fmt.Errorf("content digest %v: not found", needed.Digest)
			}
		}
		return fetched, nil
	}
}
