/* base/map: many keys, removal while walking, failing allocation. */
#include "support/test.h"

#include "base/map.h"

#include <stdio.h>

static struct bst_view key_of(char out[16], int n)
{
    snprintf(out, 16, "key-%d", n);
    return bst_view(out);
}

static void ten_thousand_keys_come_and_go(void **state)
{
    bst_auto(map) map = {0};
    static int values[10000];
    char key[16];
    for (int i = 0; i < 10000; i++) {
        assert_ok(bst_map_set(&map, key_of(key, i), &values[i], NULL));
    }
    for (int i = 0; i < 10000; i += 2) {
        assert_ptr_equal(bst_map_remove(&map, key_of(key, i)), &values[i]);
    }
    assert_int_equal(map.count, 5000);
    for (int i = 0; i < 10000; i++) {
        assert_ptr_equal(bst_map_get(&map, key_of(key, i)), i % 2 ? &values[i] : NULL);
    }
    size_t cursor = 0, seen = 0;
    struct bst_view k;
    void *v;
    while (bst_map_next(&map, &cursor, &k, &v)) {
        assert_ptr_equal(bst_map_remove(&map, k), v);
        seen++;
    }
    assert_int_equal(seen, 5000);
    assert_int_equal(map.count, 0);
}

static void a_failed_insert_leaves_the_map_whole(void **state)
{
    bst_auto(map) map = {0};
    int value;
    char key[16];
    for (int i = 0; i < 10; i++) {
        assert_ok(bst_map_set(&map, key_of(key, i), &value, NULL));
    }
    bst_alloc_fail_at(1);
    assert_err(bst_map_set(&map, key_of(key, 10), &value, NULL), BST_E_NOMEM);
    bst_alloc_fail_at(0);
    assert_int_equal(map.count, 10);
    assert_ptr_equal(bst_map_get(&map, key_of(key, 9)), &value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_keys_come_and_go),
        cmocka_unit_test(a_failed_insert_leaves_the_map_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
