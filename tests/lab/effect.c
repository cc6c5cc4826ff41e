/* What the lab says of a change: intervals beside ones that were worked out elsewhere; and votes. */
#include <criterion/criterion.h>
#include <math.h>

#include "../../tools/lab/effect.h"
#include "../../tools/lab/votes.h"

TestSuite(effect, .timeout = 600);

#define COUNT(array) (unsigned)(sizeof(array) / sizeof *(array))

static void expect_near(double value, double wanted, double slack, const char *what)
{
    cr_expect(fabs(value - wanted) <= slack, "%s is %.9g, not %.9g", what, value, wanted);
}

/* scipy.stats.ttest_ind(after, before, equal_var=False).confidence_interval(): the degrees of freedom are 7.98, here
 * rounded down to 7. */
Test(effect, interval_is_welchs)
{
    const double before[] = { 20, 22, 19, 24, 25 }, after[] = { 28, 27, 30, 26, 31 };
    struct effect effect = effect_of(before, COUNT(before), after, COUNT(after));
    expect_near(effect.before, 22, 1e-12, "before");
    expect_near(effect.after, 28.4, 1e-12, "after");
    double half = 2.365 * sqrt(6.5 / 5 + 4.3 / 5);
    expect_near(effect.low, 6.4 - half, 1e-9, "the lower end");
    expect_near(effect.high, 6.4 + half, 1e-9, "the upper end");
    cr_expect_eq(effect.verdict, EFFECT_MORE);
    cr_expect_eq(effect_of(after, COUNT(after), before, COUNT(before)).verdict, EFFECT_LESS);
}

Test(effect, that_may_be_chance_is_too_close_to_call)
{
    const double before[] = { 20, 30, 20, 30 }, after[] = { 22, 32, 21, 33 };
    cr_expect_eq(effect_of(before, 4, after, 4).verdict, EFFECT_CLOSE);
    const double none[] = { 0, 0, 0, 0 };
    struct effect effect = effect_of(none, 4, none, 4);
    cr_expect_eq(effect.verdict, EFFECT_CLOSE);
    expect_near(effect.low, 0, 0, "the lower end");
    expect_near(effect.high, 0, 0, "the upper end");
}

Test(effect, of_too_few_samples_is_not_known)
{
    const double before[] = { 1, 1, 1, NAN, NAN }, after[] = { 9, 9, 9, 9, 9 };
    struct effect effect = effect_of(before, COUNT(before), after, COUNT(after));
    cr_expect_eq(effect.verdict, EFFECT_UNKNOWN);
    cr_expect(isnan(effect.low) && isnan(effect.high));
    expect_near(effect.before, 1, 0, "before");
    cr_expect(isnan(effect_of(NULL, 0, after, COUNT(after)).before));
}

Test(effect, of_many_samples_has_nearly_the_normal_factor)
{
    double before[60], after[60];
    for (unsigned i = 0; i < 60; i++) {
        before[i] = i % 2 ? 9 : 11;
        after[i] = i % 2 ? 19 : 21;
    }
    struct effect effect = effect_of(before, 60, after, 60);
    double variance = 60.0 / 59, half = (effect.high - effect.low) / 2;
    expect_near(half / sqrt(variance / 60 * 2), 1.980, 0.002, "the factor of 118 degrees of freedom");
}

/* --- votes -------------------------------------------------------------------------------------------------------- */

static json_int_t count(json_t *votes, const char *key)
{
    json_int_t number = json_integer_value(json_object_get(votes, key));
    json_decref(votes);
    return number;
}

Test(effect, votes_are_one_for_each_browser)
{
    static struct votes votes;
    cr_expect(votes_take(&votes, "a", VOTE_FASTER, VOTE_NO_ERRORS_SAID));
    cr_expect(votes_take(&votes, "a", VOTE_SLOWER, VOTE_NO_ERRORS_SAID));
    cr_expect(votes_take(&votes, "a", VOTE_NO_SPEED, VOTE_SOME));
    cr_expect(votes_take(&votes, "b", VOTE_SLOWER, VOTE_NONE));
    cr_expect_not(votes_take(&votes, "", VOTE_SLOWER, VOTE_NONE));
    cr_expect_eq(count(votes_json(&votes), "faster"), 0);
    cr_expect_eq(count(votes_json(&votes), "slower"), 2);
    cr_expect_eq(count(votes_errors_json(&votes), "some"), 1);
    json_t *own = votes_own_json(&votes, "a");
    cr_expect_str_eq(json_string_value(json_object_get(own, "speed")), "slower");
    cr_expect_str_eq(json_string_value(json_object_get(own, "errors")), "some");
    json_decref(own);
    cr_expect(json_is_null(votes_own_json(&votes, "c")));
}

Test(effect, votes_are_bounded)
{
    static struct votes votes;
    char who[16];
    for (unsigned i = 0; i < VOTES_MAX; i++) {
        snprintf(who, sizeof who, "%u", i);
        cr_assert(votes_take(&votes, who, VOTE_SAME, VOTE_NONE));
    }
    cr_expect_not(votes_take(&votes, "one more", VOTE_SAME, VOTE_NONE));
    cr_expect(votes_take(&votes, "7", VOTE_FASTER, VOTE_NONE), "who is known may change it");
    cr_expect_eq(count(votes_speed_json(&votes), "same"), VOTES_MAX - 1);
}
