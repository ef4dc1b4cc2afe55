// Echo with Go's net package: a goroutine per connection.
package main

import (
	"fmt"
	"net"
	"os"
)

// readBytes is the same as in the other peers. io.Copy would splice between the sockets instead, which
// needs a pipe for each connection and more system calls for a short message.
const readBytes = 64 * 1024

// echo sends back what comes until the peer has ended its side. Go sets TCP_NODELAY itself.
func echo(visitor net.Conn) {
	defer visitor.Close()
	buffer := make([]byte, readBytes)
	for {
		count, err := visitor.Read(buffer)
		if count > 0 {
			if _, err := visitor.Write(buffer[:count]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	for {
		visitor, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		go echo(visitor)
	}
}
