// A C program of known size that needs no library: keccak, a hash table, a sweep over memory,
// quicksort. How much it does is fixed when it is compiled: all of it, or the part that -DDIVISOR=N
// says. guests/bench does the same in Rust, and its check value is the same.

typedef unsigned char u8;
typedef unsigned long u64;

#ifndef DIVISOR
#define DIVISOR 1UL
#endif
#define PERMUTATIONS (600000UL / DIVISOR)
#define LOOKUPS (200000000UL / DIVISOR)
#define SWEEPS (10000UL / DIVISOR)
#define SORTS (600UL / DIVISOR)

#define LOG_SLOTS 16
#define SLOTS (1UL << LOG_SLOTS)
#define SWEPT (1UL << 17)
#define SORTED (1UL << 14)
#define SEED 88172645463325252UL

#define MEASURED __attribute__((noinline)) static

// System calls, and where a program starts.

#if defined(__mips__)
#define SYS_WRITE 5001
#define SYS_EXIT 5058
#define SYS_CLOCK_GETTIME 5222
static long call(long number, long a, long b, long c) {
  register long v0 asm("$2") = number;
  register long a0 asm("$4") = a;
  register long a1 asm("$5") = b;
  register long a2 asm("$6") = c;
  register long a3 asm("$7");
  asm volatile("syscall"
               : "+r"(v0), "=r"(a3)
               : "r"(a0), "r"(a1), "r"(a2)
               : "memory", "$1", "$3", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$24",
                 "$25", "hi", "lo");
  return v0;
}
asm(".set noreorder\n"
    ".globl __start\n"
    "__start:\n"
    "  dla $25, begin\n"
    "  jalr $25\n"
    "  nop\n"
    ".set reorder\n");
#elif defined(__x86_64__)
#define SYS_WRITE 1
#define SYS_EXIT 60
#define SYS_CLOCK_GETTIME 228
static long call(long number, long a, long b, long c) {
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c)
               : "rcx", "r11", "memory");
  return result;
}
asm(".globl _start\n"
    "_start:\n"
    "  and $-16, %rsp\n"
    "  call begin\n");
#else
#error "guest.c knows the system calls of MIPS64 and x86-64"
#endif

// One permutation, written plainly: what the compiler makes of it is what is measured.

static const u64 ROUND_CONSTANTS[24] = {
    0x0000000000000001UL, 0x0000000000008082UL, 0x800000000000808aUL, 0x8000000080008000UL,
    0x000000000000808bUL, 0x0000000080000001UL, 0x8000000080008081UL, 0x8000000000008009UL,
    0x000000000000008aUL, 0x0000000000000088UL, 0x0000000080008009UL, 0x000000008000000aUL,
    0x000000008000808bUL, 0x800000000000008bUL, 0x8000000000008089UL, 0x8000000000008003UL,
    0x8000000000008002UL, 0x8000000000000080UL, 0x000000000000800aUL, 0x800000008000000aUL,
    0x8000000080008081UL, 0x8000000000008080UL, 0x0000000080000001UL, 0x8000000080008008UL,
};
static const u8 ROTATIONS[24] = {1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14,
                                 27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44};
static const u8 PLACES[24] = {10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4,
                              15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1};

static u64 rotate(u64 x, int n) { return x << n | x >> (64 - n); }

MEASURED void keccak_f(u64 *a) {
  u64 parity[5];
  for (int round = 0; round < 24; round++) {
    for (int x = 0; x < 5; x++) parity[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
    for (int x = 0; x < 5; x++) {
      u64 change = parity[(x + 4) % 5] ^ rotate(parity[(x + 1) % 5], 1);
      for (int y = 0; y < 25; y += 5) a[y + x] ^= change;
    }
    u64 moved = a[1];
#pragma GCC unroll 24
    for (int i = 0; i < 24; i++) {
      u64 next = a[PLACES[i]];
      a[PLACES[i]] = rotate(moved, ROTATIONS[i]);
      moved = next;
    }
    for (int y = 0; y < 25; y += 5) {
      u64 row[5];
      for (int x = 0; x < 5; x++) row[x] = a[y + x];
      for (int x = 0; x < 5; x++) a[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
    }
    a[0] ^= ROUND_CONSTANTS[round];
  }
}

static u64 state[25];

static u64 permute(u64 times) {
  state[0] = 1;
  for (u64 i = 0; i < times; i++) keccak_f(state);
  return state[0];
}

// Marsaglia's xorshift.
static u64 step(u64 x) {
  x ^= x << 13;
  x ^= x >> 7;
  return x ^ x << 17;
}

// Counts random keys in a table with open addressing, half of it used.

static struct {
  u64 key, count;
} table[SLOTS];

MEASURED u64 look_up(u64 times) {
  u64 random = SEED, sum = 0;
  for (u64 i = 0; i < times; i++) {
    random = step(random);
    u64 key = (random & (SLOTS / 2 - 1)) + 1;
    u64 slot = (key * 0x9E3779B97F4A7C15UL) >> (64 - LOG_SLOTS);
    while (table[slot].key && table[slot].key != key) slot = (slot + 1) & (SLOTS - 1);
    table[slot].key = key;
    table[slot].count += i;
    sum += table[slot].count;
  }
  return sum;
}

// Reads and writes every word of a mebibyte.

static u64 swept[SWEPT];

MEASURED u64 sweep(u64 times) {
  u64 sum = 0;
  for (u64 i = 0; i < times; i++)
    for (u64 j = 0; j < SWEPT; j++) {
      sum += swept[j];
      swept[j] = sum ^ (sum >> 3);
    }
  return sum;
}

// Sorts random words: Hoare's quicksort, the smaller part by recursion, the larger in the loop.

static u64 sorted[SORTED];

MEASURED void quicksort(u64 *a, long low, long high) {
  while (low < high) {
    u64 pivot = a[(low + high) >> 1];
    long i = low, j = high;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i <= j) {
        u64 other = a[i];
        a[i++] = a[j];
        a[j--] = other;
      }
    }
    if (j - low < high - i) {
      quicksort(a, low, j);
      low = i;
    } else {
      quicksort(a, i, high);
      high = j;
    }
  }
}

MEASURED u64 sort(u64 times) {
  u64 random = SEED, sum = 0;
  for (u64 i = 0; i < times; i++) {
    for (u64 j = 0; j < SORTED; j++) sorted[j] = random = step(random);
    quicksort(sorted, 0, SORTED - 1);
    sum ^= sorted[i % SORTED];
  }
  return sum;
}

static u64 microseconds(void) {
  long time[2] = {0, 0};
  call(SYS_CLOCK_GETTIME, 1, (long)time, 0);
  return (u64)time[0] * 1000000UL + (u64)time[1] / 1000;
}

static void print(const char *name, u64 value, u64 base) {
  char line[64], digits[24];
  int length = 0, count = 0;
  while (*name) line[length++] = *name++;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  while (count) line[length++] = digits[--count];
  line[length++] = '\n';
  call(SYS_WRITE, 1, (long)line, length);
}

__attribute__((used, noreturn)) static void begin(void) {
  u64 start = microseconds();
  u64 check = permute(PERMUTATIONS);
  u64 permuted = microseconds();
  check ^= look_up(LOOKUPS);
  u64 looked_up = microseconds();
  check ^= sweep(SWEEPS);
  u64 done = microseconds();
  check ^= sort(SORTS);
  u64 end = microseconds();
  print("check=", check, 16);
  print("keccak_us=", permuted - start, 10);
  print("hash_us=", looked_up - permuted, 10);
  print("sweep_us=", done - looked_up, 10);
  print("sort_us=", end - done, 10);
  print("total_us=", end - start, 10);
  for (;;) call(SYS_EXIT, 0, 0, 0);
}
