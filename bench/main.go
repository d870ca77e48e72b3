// A Go program of known size, as fault proof programs in Go are: keccak, a map, a tree that the
// collector has to keep up with, sorting, formatting. How much it does is fixed when it is linked:
// all of it, or the part that -X main.divisor=N says.
package main

import (
	"fmt"
	"math/bits"
	"sort"
	"strconv"
	"strings"
	"time"
)

var divisor = "1"

var roundConstants = [24]uint64{
	0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
	0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
	0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
	0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
	0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
	0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
}

var rotations = [24]int{
	1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44,
}

var places = [24]int{
	10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1,
}

// Written plainly: what the compiler makes of it is what is measured.
func keccakF(a *[25]uint64) {
	var parity [5]uint64
	for round := 0; round < 24; round++ {
		for x := 0; x < 5; x++ {
			parity[x] = a[x] ^ a[x+5] ^ a[x+10] ^ a[x+15] ^ a[x+20]
		}
		for x := 0; x < 5; x++ {
			change := parity[(x+4)%5] ^ bits.RotateLeft64(parity[(x+1)%5], 1)
			for y := 0; y < 25; y += 5 {
				a[y+x] ^= change
			}
		}
		moved := a[1]
		for i := 0; i < 24; i++ {
			place := places[i]
			next := a[place]
			a[place] = bits.RotateLeft64(moved, rotations[i])
			moved = next
		}
		for y := 0; y < 25; y += 5 {
			var row [5]uint64
			copy(row[:], a[y:y+5])
			for x := 0; x < 5; x++ {
				a[y+x] = row[x] ^ (^row[(x+1)%5] & row[(x+2)%5])
			}
		}
		a[0] ^= roundConstants[round]
	}
}

type node struct {
	left, right *node
	key         uint64
}

func insert(n *node, key uint64) *node {
	if n == nil {
		return &node{key: key}
	}
	if key < n.key {
		n.left = insert(n.left, key)
	} else if key > n.key {
		n.right = insert(n.right, key)
	}
	return n
}

// Marsaglia's xorshift.
func step(x uint64) uint64 {
	x ^= x << 13
	x ^= x >> 7
	return x ^ x<<17
}

func main() {
	part, err := strconv.Atoi(divisor)
	if err != nil || part < 1 {
		panic("-X main.divisor is no number: " + divisor)
	}
	x := uint64(88172645463325252)
	h := uint64(0)

	start := time.Now()
	var state [25]uint64
	state[0] = 1
	for i := 0; i < 200000/part; i++ {
		keccakF(&state)
	}

	keccak := time.Now()
	counts := map[uint64]uint64{}
	for i := 0; i < 8000000/part; i++ {
		x = step(x)
		counts[x&0x3ffff] += uint64(i)
	}
	for key, count := range counts {
		h ^= key * count
	}

	mapped := time.Now()
	for i := 0; i < 6; i++ {
		var root *node
		for j := 0; j < 100000/part; j++ {
			x = step(x)
			root = insert(root, x)
		}
		h ^= root.key
	}

	tree := time.Now()
	for i := 0; i < 6; i++ {
		numbers := make([]int, 200000/part)
		for j := range numbers {
			x = step(x)
			numbers[j] = int(x)
		}
		sort.Ints(numbers)
		h ^= uint64(numbers[7])
	}

	sorted := time.Now()
	var text strings.Builder
	for i := 0; i < 300000/part; i++ {
		fmt.Fprintf(&text, "%d:%x,", i, x)
		x = x*6364136223846793005 + 1
		if text.Len() > 1<<20 {
			h ^= uint64(text.String()[77])
			text.Reset()
		}
	}

	end := time.Now()
	fmt.Printf("check=%x keccak=%dms map=%dms tree=%dms sort=%dms fmt=%dms total=%dms\n", state[0]^h,
		keccak.Sub(start).Milliseconds(), mapped.Sub(keccak).Milliseconds(),
		tree.Sub(mapped).Milliseconds(), sorted.Sub(tree).Milliseconds(),
		end.Sub(sorted).Milliseconds(), end.Sub(start).Milliseconds())
}
