/* The service layer on a failing disk: a write that cannot be made durable is answered 5000 and
 * leaves nothing behind; reads go on; what was answered 2001 is there after the power came back. */
#include "support/cse_fixture.h"

#include "fault/vfs_torn.h"
#include "obs/log.h"

#include <sqlite3.h>

static void quiet(void *ctx, enum bst_log_level level, struct bst_view line)
{
    (void)ctx;
    (void)level;
    (void)line;
}

static void begin(struct cse_fixture *f)
{
    torn_reset();
    cse_init(f);
    f->store_config.vfs = TORN_VFS;
    f->store_config.bulk_threads = 1;
    cse_start(f);
    cse_register(f, "Cf", "f");
    assert_rsc(2001, cse_create(f, "Cf", "cse-in/f", "cnt", "'rn':'c','mni':5"));
    for (int i = 0; i < 3; i++) {
        assert_rsc(2001, cse_create(f, "Cf", "cse-in/f/c", "cin", "'con':'before'"));
    }
}

static void restart(struct cse_fixture *f, uint64_t seed)
{
    cse_stop(f);
    torn_power_on(seed);
    cse_start(f);
}

/* Counters equal what is there, and there is as much as was acknowledged. */
static void assert_consistent(struct cse_fixture *f, int64_t least)
{
    assert_rsc(2000, cse_query(f, "Cf", "cse-in/f/c", "'rcn':4"));
    int64_t cni = cse_int(f, "m2m:cnt/cni"), bytes = 0;
    assert_int_equal((int64_t)cse_count(f, "m2m:cnt/m2m:cin"), cni);
    for (int64_t i = 0; i < cni; i++) {
        char path[64];
        snprintf(path, sizeof path, "m2m:cnt/m2m:cin/%d/cs", (int)i);
        bytes += cse_int(f, path);
    }
    assert_int_equal(cse_int(f, "m2m:cnt/cbs"), bytes);
    assert_true(cni >= least);
}

static void a_write_that_fails_is_refused_and_reads_go_on(void **state)
{
    struct cse_fixture f_ = {0}, *f = &f_;
    (void)state;
    begin(f);
    const struct torn_faults faults = {.write_fails_at = 1, .write_error = SQLITE_FULL};
    torn_arm(&faults);
    assert_rsc(5000, cse_create(f, "Cf", "cse-in/f/c", "cin", "'con':'lost'"));
    assert_rsc(5000, cse_create(f, "Cnew", "cse-in", "ae", "'api':'N.x','rr':false,'srv':['3']"));
    assert_rsc(5000, cse_delete(f, "Cf", "cse-in/f"));
    assert_consistent(f, 3);
    assert_rsc(2000, cse_retrieve(f, "Cf", "cse-in/f/c/la"));
    assert_string_equal(cse_text(f, "m2m:cin/con"), "before");
    restart(f, 1);
    assert_consistent(f, 3);
    assert_rsc(4004, cse_retrieve(f, "CAdmin", "Cnew"));
    assert_rsc(2001, cse_create(f, "Cf", "cse-in/f/c", "cin", "'con':'after'"));
    cse_end(f);
}

static void a_failed_sync_is_never_answered_as_success(void **state)
{
    struct cse_fixture f_ = {0}, *f = &f_;
    (void)state;
    begin(f);
    const struct torn_faults faults = {.sync_fails_at = 1};
    torn_arm(&faults);
    assert_rsc(5000, cse_create(f, "Cf", "cse-in/f/c", "cin", "'con':'lost'"));
    assert_rsc(5000, cse_update(f, "Cf", "cse-in/f/c", "cnt", "'mni':1"));
    assert_rsc(2000, cse_retrieve(f, "Cf", "cse-in/f/c"));
    assert_int_equal(cse_int(f, "m2m:cnt/mni"), 5);
    restart(f, 2);
    assert_consistent(f, 3);
    cse_end(f);
}

/* Whatever operation the power goes at: what was answered is there, and the counters are right. */
static void what_was_answered_survives_the_power(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct cse_fixture f_ = {0}, *f = &f_;
        int made = 0, rsc;
        begin(f);
        const struct torn_faults faults = {.power_off_at = (long)seed};
        torn_arm(&faults);
        do {
            rsc = cse_create(f, "Cf", "cse-in/f/c", "cin", "'rn':'n%d','con':'%d'", made, made);
            made += rsc == 2001;
        } while (rsc == 2001 && made < 100);
        assert_rsc(made < 100 ? 5000 : 2001, rsc);
        restart(f, seed);
        assert_consistent(f, made + 3 < 5 ? made + 3 : 5);
        if (made) {
            char to[64];
            snprintf(to, sizeof to, "cse-in/f/c/n%d", made - 1);
            assert_rsc(2000, cse_retrieve(f, "Cf", to));
        }
        cse_end(f);
    }
}

int main(void)
{
    const struct bst_log_setup log = {.level = BST_LOG_ERROR, .write = quiet};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_that_fails_is_refused_and_reads_go_on),
        cmocka_unit_test(a_failed_sync_is_never_answered_as_success),
        cmocka_unit_test(what_was_answered_survives_the_power),
    };
    bst_log_configure(&log);
    torn_register();
    return cmocka_run_group_tests_name("cse fault", tests, NULL, NULL);
}
