/* The statistics of `switchboard compare`, beside sums that are done in another way: all choices counted one by one. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "../../tools/compare/statistics.h"

TestSuite(statistics, .timeout = 600);

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void expect_near(double value, double wanted, double slack, const char *what)
{
    cr_expect(fabs(value - wanted) <= slack, "%s is %.9g, not %.9g", what, value, wanted);
}

/* --- spread ------------------------------------------------------------------------------------------------------- */

static void expect_spread(const double *values, size_t n, struct spread wanted)
{
    struct spread spread = spread_of(values, n);
    cr_expect_eq(spread.n, wanted.n);
    expect_near(spread.low, wanted.low, 1e-12, "the lower quartile");
    expect_near(spread.median, wanted.median, 1e-12, "the median");
    expect_near(spread.high, wanted.high, 1e-12, "the upper quartile");
    expect_near(spread.min, wanted.min, 0, "the minimum");
    expect_near(spread.max, wanted.max, 0, "the maximum");
}

Test(statistics, quartiles_are_interpolated_as_r_does_it)
{
    expect_spread((double[]){ 7 }, 1, (struct spread){ 1, 7, 7, 7, 7, 7 });
    expect_spread((double[]){ 4, 2 }, 2, (struct spread){ 2, 3, 2.5, 3.5, 2, 4 });
    expect_spread((double[]){ 3, 1, 4, 2 }, 4, (struct spread){ 4, 2.5, 1.75, 3.25, 1, 4 });
    expect_spread((double[]){ 5, 4, 3, 2, 1 }, 5, (struct spread){ 5, 3, 2, 4, 1, 5 });
    expect_spread((double[]){ 32, 1, 16, 2, 8, 4 }, 6, (struct spread){ 6, 6, 2.5, 14, 1, 32 });
    expect_spread((double[]){ -3, 0, -1 }, 3, (struct spread){ 3, -1, -2, -0.5, -3, 0 });
}

Test(statistics, unknown_values_are_passed_over)
{
    expect_spread((double[]){ NAN, 3, 1, NAN, 4, 2 }, 6, (struct spread){ 4, 2.5, 1.75, 3.25, 1, 4 });
    const double a[] = { 1, NAN, 2, 3, 4, 5, 6, 7 }, b[] = { 11, 12, 13, 14, 15, NAN, 16, 17 };
    cr_expect_eq(compare_pairs(a, b, 8), LESS, "six pairs are known");
    cr_expect_eq(compare_pairs(a, b, 7), TOO_FEW, "five pairs are too few");
}

Test(statistics, nothing_known_is_said)
{
    const double none[] = { NAN, NAN }, some[] = { 1, 2, 3, 4 };
    struct spread spread = spread_of(none, 2);
    cr_expect_eq(spread.n, 0);
    cr_expect(isnan(spread.median) && isnan(spread.low) && isnan(spread.high));
    cr_expect(isnan(spread.min) && isnan(spread.max));
    cr_expect_eq(spread_of(some, 0).n, 0);
    cr_expect_eq(signed_rank_p(none, 2), 1);
    cr_expect_eq(signed_rank_p(some, 0), 1);
    cr_expect_eq(compare_pairs(none, some, 2), TOO_FEW);
}

/* --- the signed-rank test ----------------------------------------------------------------------------------------- */

/* Of all 2^n ways to give signs, two are as lopsided as can be. */
Test(statistics, differences_with_one_sign_have_the_p_of_the_tables)
{
    double differences[SAMPLE_MAX];
    for (int n = 1; n <= SAMPLE_MAX; n++) {
        differences[n - 1] = n;
        expect_near(signed_rank_p(differences, n) / ldexp(2, -n), 1, 1e-9, "p beside the table's");
    }
}

/* Wilcoxon (1945): with 8 pairs a smaller sum of 3 has P 0.039, with 10 one of 8 0.049. */
Test(statistics, known_sums_have_the_p_of_the_tables)
{
    const double eight[] = { 1, 2, -3, -4, -5, -6, -7, -8 }, ten[] = { -1, 2, 3, 4, 5, 6, -7, 8, 9, 10 };
    expect_near(signed_rank_p(eight, 8), 2 * 5 / 256.0, 1e-12, "p of 3");
    expect_near(signed_rank_p(ten, 10), 2 * 25 / 1024.0, 1e-12, "p of 8");
}

/* Of sizes among all: those below count one, equal ones a half (with itself: a half more). */
static double rank_of(double size, const double *all, int n)
{
    double rank = 0.5;
    for (int i = 0; i < n; i++)
        rank += fabs(all[i]) < size ? 1 : fabs(all[i]) == size ? 0.5 : 0;
    return rank;
}

/* Every way to give signs, one after the other. */
static double p_of_all_signs(const double *all, int n)
{
    double ranks[16], far = 0;
    unsigned long as_far = 0;
    for (int i = 0; i < n; i++) {
        ranks[i] = rank_of(fabs(all[i]), all, n);
        far += all[i] > 0 ? ranks[i] : -ranks[i];
    }
    for (unsigned signs = 0; signs < 1u << n; signs++) {
        double sum = 0;
        for (int i = 0; i < n; i++)
            sum += signs >> i & 1 ? ranks[i] : -ranks[i];
        as_far += fabs(sum) >= fabs(far);
    }
    return (double)as_far / (1u << n);
}

Test(statistics, p_is_the_share_of_all_signs_that_are_as_lopsided_with_ties_and_without)
{
    unsigned seed = 5;
    for (int n = 1; n <= 12; n++)
        for (int different = 1; different <= 1024; different *= 2) {
            double all[12], mirrored[12];
            for (int i = 0; i < n; i++) {
                all[i] = (1 + rand_r(&seed) % different) / 8.0 * (rand_r(&seed) & 64 ? 1 : -1);
                mirrored[i] = -all[i];
            }
            expect_near(signed_rank_p(all, n), p_of_all_signs(all, n), 1e-12, "p");
            expect_near(signed_rank_p(mirrored, n), signed_rank_p(all, n), 1e-12, "p of the mirror");
        }
}

Test(statistics, what_does_not_differ_does_not_count)
{
    const double zeros[] = { 0, 0, 0, 0, 0, 0 }, some[] = { 0, 3, 0, 1, -2, 0 }, without[] = { 3, 1, -2 };
    cr_expect_eq(signed_rank_p(zeros, 6), 1);
    cr_expect_eq(signed_rank_p(some, 6), signed_rank_p(without, 3));
    cr_expect_eq(compare_pairs(some, some, 6), EQUAL);
}

/* --- the judgement ------------------------------------------------------------------------------------------------ */

Test(statistics, five_rounds_never_suffice_and_six_do)
{
    const double low[] = { 1, 2, 3, 4, 5, 6 }, high[] = { 11, 12, 13, 14, 15, 16 };
    cr_expect_eq(compare_pairs(low, high, 5), TOO_FEW);
    cr_expect_eq(compare_pairs(low, high, 6), LESS);
    cr_expect_eq(compare_pairs(high, low, 6), MORE);
}

Test(statistics, one_round_the_other_way_is_too_much_for_six_but_the_smallest_of_eight_is_not)
{
    const double a[] = { 2, 1, 1, 1, 1, 1, 1, 1 }, b[] = { 1, 4, 5, 6, 7, 8, 9, 10 };
    cr_expect_eq(compare_pairs(a, b, 6), TOO_CLOSE, "p is 4/64");
    cr_expect_eq(compare_pairs(a, b, 8), LESS, "p is 4/256");
}

/* A machine that gets slower and slower, and one strategy that is always a little better. */
Test(statistics, drift_that_hits_both_does_not_hide_a_difference)
{
    const double a[] = { 100, 80, 60, 40, 20, 10 }, b[] = { 101, 82, 61, 42, 21, 11 };
    cr_expect_eq(compare_pairs(a, b, 6), LESS);
}
