// The benchmarks' server in Go: a goroutine for each connection, as the net package's own example has it.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func upper(text []byte) {
	for i, c := range text {
		if c >= 'a' && c <= 'z' {
			text[i] = c - ('a' - 'A')
		}
	}
}

func serve(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, 1024)
	for {
		size, err := connection.Read(buffer)
		if err != nil {
			return
		}
		upper(buffer[:size])
		if _, err = connection.Write(buffer[:size]); err != nil {
			return
		}
	}
}

func endOnSigterm() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		os.Exit(0)
	}()
}

func raiseDescriptorLimit() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}

func main() {
	raiseDescriptorLimit()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, "echo-go:", err)
		os.Exit(1)
	}
	endOnSigterm()
	fmt.Printf("listening tcp://%s handler=upper strategy=go pid=%d\n", listener.Addr(), os.Getpid())
	for {
		connection, err := listener.Accept()
		if err == nil {
			go serve(connection)
		}
	}
}
