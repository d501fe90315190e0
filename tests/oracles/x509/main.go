// Verifies chains of certificates with Go's own crypto/x509. Reads one chain a line, as JSON, and writes one line
// each: "ok", or the error.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

type chain struct {
	Presented [][]byte
	Roots     [][]byte
	Host      string
	Now       int64
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var c chain
		err := json.Unmarshal(lines.Bytes(), &c)
		if err == nil {
			err = verify(c)
		}
		if err != nil {
			fmt.Fprintln(out, strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Fprintln(out, "ok")
		}
	}
	if err := lines.Err(); err != nil {
		panic(err)
	}
}

// verify does what crypto/tls does with a server's certificates.
func verify(c chain) error {
	var presented []*x509.Certificate
	for _, der := range c.Presented {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		presented = append(presented, certificate)
	}
	options := x509.VerifyOptions{
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		DNSName:       c.Host,
		CurrentTime:   time.Unix(c.Now, 0),
	}
	for _, der := range c.Roots {
		if certificate, err := x509.ParseCertificate(der); err == nil {
			options.Roots.AddCert(certificate)
		}
	}
	for _, certificate := range presented[1:] {
		options.Intermediates.AddCert(certificate)
	}
	_, err := presented[0].Verify(options)
	return err
}
