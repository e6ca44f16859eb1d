/* What pmla_read, pmla_write and PMLA_HAS do to structs of other sizes than ours. Prints every rule that is broken. */
#include <polymla_backend.h>
#include <stdio.h>
#include <stdlib.h>

static int broken = 0;
#define EXPECT(rule) ((rule) ? (void)0 : (void)(broken++, printf("line %d: %s\n", __LINE__, #rule)))

/* A struct as we know it, one that knew less, and one that knows more. */
typedef struct {
  uint32_t size, a, b, c;
} ours;

/* A block of exactly that many bytes, so that a sanitizer sees what is read beyond it; the first word is `size`. */
static uint32_t *block(size_t bytes, uint32_t size) {
  uint32_t *made = (uint32_t *)malloc(bytes);
  for (size_t i = 0; i < bytes / 4; i++) made[i] = (uint32_t)(100 + i);
  made[0] = size;
  return made;
}

static void readsWhatIsThere(void) {
  ours read;
  uint32_t *whole = block(16, 16);
  EXPECT(pmla_read(&read, sizeof read, whole, 16) == PMLA_OK);
  EXPECT(read.size == 16 && read.a == 101 && read.b == 102 && read.c == 103);
  free(whole);
  uint32_t *shorter = block(8, 8);
  EXPECT(pmla_read(&read, sizeof read, shorter, 8) == PMLA_OK);
  EXPECT(read.size == 8 && read.a == 101 && read.b == 0 && read.c == 0);
  free(shorter);
  uint32_t *odd = block(12, 10);
  EXPECT(pmla_read(&read, sizeof read, odd, 8) == PMLA_OK);
  EXPECT(read.a == 101 && (read.b & 0xffff0000u) == 0 && read.c == 0);
  free(odd);
}

static void refusesWhatItCannotKnow(void) {
  ours read;
  EXPECT(pmla_read(&read, sizeof read, NULL, 4) == PMLA_INVALID_ARGUMENT);
  uint32_t *small = block(16, 12);
  EXPECT(pmla_read(&read, sizeof read, small, 16) == PMLA_INVALID_ARGUMENT);
  small[0] = 3;
  EXPECT(pmla_read(&read, sizeof read, small, 0) == PMLA_INVALID_ARGUMENT);
  small[0] = 0;
  EXPECT(pmla_read(&read, sizeof read, small, 0) == PMLA_INVALID_ARGUMENT);
  small[0] = 65537;
  EXPECT(pmla_read(&read, sizeof read, small, 4) == PMLA_INVALID_ARGUMENT);
  small[0] = UINT32_MAX;
  EXPECT(pmla_read(&read, sizeof read, small, 4) == PMLA_INVALID_ARGUMENT);
  free(small);
}

static void takesLongerOnesWithoutNews(void) {
  ours read;
  uint32_t *longer = block(24, 24);
  longer[4] = longer[5] = 0;
  EXPECT(pmla_read(&read, sizeof read, longer, 16) == PMLA_OK);
  EXPECT(read.size == 24 && read.c == 103);
  ((unsigned char *)longer)[23] = 1;
  EXPECT(pmla_read(&read, sizeof read, longer, 16) == PMLA_UNSUPPORTED);
  longer[0] = 23;
  EXPECT(pmla_read(&read, sizeof read, longer, 16) == PMLA_OK);
  free(longer);
  uint32_t *longest = (uint32_t *)calloc(1, 65536);
  longest[0] = 65536;
  EXPECT(pmla_read(&read, sizeof read, longest, 16) == PMLA_OK);
  free(longest);
}

static void writesWhatTheReceiverKnows(void) {
  const ours from = {16, 1, 2, 3};
  EXPECT(pmla_write(NULL, &from, sizeof from) == PMLA_INVALID_ARGUMENT);
  uint32_t *whole = block(16, 16);
  EXPECT(pmla_write(whole, &from, sizeof from) == PMLA_OK);
  EXPECT(whole[0] == 16 && whole[1] == 1 && whole[2] == 2 && whole[3] == 3);
  free(whole);
  uint32_t *shorter = block(12, 8);
  EXPECT(pmla_write(shorter, &from, sizeof from) == PMLA_OK);
  EXPECT(shorter[0] == 8 && shorter[1] == 1 && shorter[2] == 102);
  shorter[0] = 4;
  EXPECT(pmla_write(shorter, &from, sizeof from) == PMLA_OK);
  EXPECT(shorter[0] == 4 && shorter[1] == 1);
  shorter[0] = 3;
  EXPECT(pmla_write(shorter, &from, sizeof from) == PMLA_INVALID_ARGUMENT);
  free(shorter);
  uint32_t *longer = block(20, 20);
  EXPECT(pmla_write(longer, &from, sizeof from) == PMLA_OK);
  EXPECT(longer[0] == 20 && longer[3] == 3 && longer[4] == 104);
  free(longer);
}

static void hasWholeMembersOnly(void) {
  ours sized = {8, 0, 0, 0};
  EXPECT(PMLA_HAS(ours, &sized, a) && !PMLA_HAS(ours, &sized, b));
  sized.size = 11;
  EXPECT(!PMLA_HAS(ours, &sized, b));
  sized.size = 12;
  EXPECT(PMLA_HAS(ours, &sized, b) && !PMLA_HAS(ours, &sized, c));
  sized.size = 4096;
  EXPECT(PMLA_HAS(ours, &sized, c));
}

int main(void) {
  readsWhatIsThere();
  refusesWhatItCannotKnow();
  takesLongerOnesWithoutNews();
  writesWhatTheReceiverKnows();
  hasWholeMembersOnly();
  if (broken == 0) printf("ok\n");
  return 0;
}
