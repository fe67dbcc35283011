// A client of etcd for go.ts: it writes as it is told on standard input, one line a round, and
// says on standard output how each write ended.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"

	"exactlyonce"

	"go.etcd.io/etcd/clientv3"
	"google.golang.org/grpc"
)

var endpoints = flag.String("endpoints", "", "HOST:PORT of the members, with commas")
var session = flag.String("session", "", "the session to open at the first write; none if empty")

func main() {
	flag.Parse()
	config := clientv3.Config{Endpoints: strings.Split(*endpoints, ",")}
	if *session != "" {
		opened := exactlyonce.NewSession(*session)
		config.DialOptions = []grpc.DialOption{grpc.WithChainUnaryInterceptor(opened.Intercept)}
	}
	client, err := clientv3.New(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer client.Close()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var prefix string
		var writers, writes int
		if _, err := fmt.Sscan(lines.Text(), &prefix, &writers, &writes); err != nil {
			fmt.Fprintln(os.Stderr, "PREFIX WRITERS WRITES, please:", err)
			os.Exit(1)
		}
		round(client, prefix, writers, writes)
	}
}

// round lets every writer put 0, 1, 2 … under a key of its own, one after the other.
func round(client *clientv3.Client, prefix string, writers, writes int) {
	said := make(chan string)
	var all sync.WaitGroup
	for writer := 0; writer < writers; writer++ {
		all.Add(1)
		go func(key string) {
			defer all.Done()
			for i := 0; i < writes; i++ {
				if _, err := client.Put(context.Background(), key, fmt.Sprint(i)); err != nil {
					said <- "error: " + err.Error()
				} else {
					said <- "ok"
				}
			}
		}(fmt.Sprint(prefix, writer))
	}
	go func() {
		all.Wait()
		said <- "done"
	}()
	for line := range said {
		fmt.Println(line)
		if line == "done" {
			return
		}
	}
}
