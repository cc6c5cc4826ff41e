/* Criterion's words, and, under ThreadSanitizer, where Criterion does not start, a main() that runs the same tests one
 * after the other. */
#ifndef SUITE_H
#define SUITE_H

#ifndef __SANITIZE_THREAD__
#include <criterion/criterion.h>
#else
#include <stdio.h>
#include <stdlib.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

static struct test *tests;

#define TestSuite(...) _Static_assert(1, "")
#define Test(suite, word)                                                                                  \
    static void test_##word(void);                                                                         \
    __attribute__((constructor)) static void add_##word(void)                                              \
    {                                                                                                      \
        static struct test test = { .name = #word, .run = test_##word };                                   \
        test.next = tests;                                                                                 \
        tests = &test;                                                                                     \
    }                                                                                                      \
    static void test_##word(void)

#define cr_assert(condition, ...)                                                                          \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), exit(1)))
#define cr_assert_eq(a, b, ...) cr_assert((a) == (b))

int main(void)
{
    for (const struct test *test = tests; test; test = test->next) {
        fprintf(stderr, "%s\n", test->name);
        test->run();
    }
    return 0;
}
#endif

#endif
