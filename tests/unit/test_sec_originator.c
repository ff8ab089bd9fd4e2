/* sec/originator, sec/association: who a request is from, and what a connection proved. Every rule
 * of TS-0004 7.3.2.1 has a case that passes and a case that is refused. */
#include "support/test.h"

#include "sec/originator.h"

#include <stdio.h>

static const struct bst_self self = {{"acme.example.com", 16}, {"id-in", 5}};

/* Registered here: AE S1, AE C1, CSE id-mn, CSE id-mn2. */
static bool has_ae(void *ctx, const struct bst_entity_id *id)
{
    return bst_view_is(bst_entity_abs(id), "//acme.example.com/S1") ||
           bst_view_is(bst_entity_abs(id), "//acme.example.com/id-in/C1");
}
static bool has_cse(void *ctx, struct bst_view abs)
{
    return bst_view_is(abs, "//acme.example.com/id-mn") ||
           bst_view_is(abs, "//acme.example.com/id-mn2");
}
static const struct bst_registrations registrations = {has_ae, has_cse, NULL};

/* A look-up with one record. */
struct record {
    const char *cred_id;
    struct bst_assoc_binding binding;
};
static bst_result find(void *ctx, struct bst_view cred_id, struct bst_arena *arena,
                       struct bst_assoc_binding *ret, bool *ret_found)
{
    const struct record *record = ctx;
    *ret_found = record && bst_view_is(cred_id, record->cred_id);
    if (*ret_found) {
        *ret = record->binding;
    }
    return BST_OK;
}

static struct bst_association *psk(const char *identity, struct record *record)
{
    struct bst_assoc_bindings bindings = {find, record};
    struct bst_assoc_proof proof = {.kind = BST_ASSOC_PSK, .psk_identity = bst_view(identity)};
    struct bst_association *assoc = NULL;
    assert_ok(bst_association_new(&self, &proof, &bindings, &assoc));
    return assoc;
}

static bst_result cert(unsigned flavours, const char *text, struct record *record,
                       struct bst_association **ret)
{
    struct bst_cert_name name = {.flavours = flavours};
    snprintf(name.text, sizeof name.text, "%s", text);
    struct bst_cert_names names = {&name, 1};
    struct bst_assoc_bindings bindings = {find, record};
    struct bst_assoc_proof proof = {.kind = BST_ASSOC_CERT, .names = &names};
    return bst_association_new(&self, &proof, &bindings, ret);
}

static struct bst_association *lab(void)
{
    struct bst_assoc_proof proof = {.kind = BST_ASSOC_LAB};
    struct bst_association *assoc = NULL;
    assert_ok(bst_association_new(&self, &proof, NULL, &assoc));
    return assoc;
}

static bst_result verify_as(const struct bst_association *assoc, const char *from, bool creates_ae,
                            struct bst_originator *ret)
{
    struct bst_originator_check check = {.self = &self,
                                         .assoc = assoc,
                                         .registrations = &registrations,
                                         .from = bst_view(from),
                                         .has_from = from != NULL,
                                         .creates_ae = creates_ae};
    return bst_originator_verify(&check, ret);
}

static bst_result verify(const struct bst_association *assoc, const char *from)
{
    struct bst_originator o;
    return verify_as(assoc, from, false, &o);
}

#define ASSOC __attribute__((cleanup(bst_association_free))) struct bst_association

static struct bst_association *ae_psk(void)
{
    static const struct bst_view ids[] = {{"S1", 2}};
    static struct record record = {"12-k1@mef.example.com",
                                   {.role = BST_ROLE_AE, .ae_ids = ids, .n_ae_ids = 1}};
    return psk("k1@mef.example.com", &record);
}

static struct bst_association *cse_psk(void)
{
    static struct record record = {"12-mn@mef.example.com",
                                   {.role = BST_ROLE_CSE, .cse_id = {"/id-mn", 6}}};
    return psk("mn@mef.example.com", &record);
}

/* ---- associations ---- */

static void a_key_stands_for_the_entity_on_record(void **state)
{
    ASSOC *ae = ae_psk();
    assert_true(ae->proved);
    assert_int_equal(ae->role, BST_ROLE_AE);
    assert_string_equal(ae->cred_id, "12-k1@mef.example.com");
    assert_string_equal(ae->ae_ids[0], "//acme.example.com/S1");
    ASSOC *cse = cse_psk();
    assert_int_equal(cse->role, BST_ROLE_CSE);
    assert_string_equal(cse->cse_id, "//acme.example.com/id-mn");
    ASSOC *unknown = psk("k2@mef.example.com", NULL);
    assert_int_equal(unknown->role, BST_ROLE_UNBOUND);
    assert_int_equal(unknown->n_ae_ids, 0);
}

static void a_key_identity_of_another_form_is_refused(void **state)
{
    struct bst_assoc_proof proof = {.kind = BST_ASSOC_PSK, .psk_identity = bst_view("no domain")};
    struct bst_association *assoc = NULL;
    assert_err(bst_association_new(&self, &proof, NULL, &assoc), BST_E_SYNTAX);
    assert_null(assoc);
}

static void certificates_carry_their_identity(void **state)
{
    ASSOC *ae = NULL;
    assert_ok(cert(BST_CERT_AE, "//acme.example.com/S7", NULL, &ae));
    assert_int_equal(ae->role, BST_ROLE_AE);
    assert_true(ae->assigned);
    assert_string_equal(ae->ae_ids[0], "//acme.example.com/S7");
    assert_string_equal(ae->cred_id, "33-_2f_2facme.example.com_2fS7");
    ASSOC *cse = NULL;
    assert_ok(cert(BST_CERT_CSE | BST_CERT_FQDN, "id-mn.id-in.acme.example.com", NULL, &cse));
    assert_int_equal(cse->role, BST_ROLE_CSE);
    assert_string_equal(cse->cse_id, "//acme.example.com/id-mn");
    ASSOC *node = NULL;
    assert_ok(cert(BST_CERT_NODE, "urn:dev:ops:32473", NULL, &node));
    assert_int_equal(node->role, BST_ROLE_UNBOUND);
    assert_string_equal(node->cred_id, "34-urn_3adev_3aops_3a32473");
}

static void a_device_certificate_stands_for_a_list_of_aes(void **state)
{
    static const struct bst_view ids[] = {{"S1*", 3}, {"C7", 2}};
    struct record record = {"31-0.2.481.1.1",
                            {.role = BST_ROLE_AE, .ae_ids = ids, .n_ae_ids = 2, .assigned = true}};
    ASSOC *assoc = NULL;
    assert_ok(cert(BST_CERT_DEVICE, "0.2.481.1.1", &record, &assoc));
    struct bst_originator o;
    assert_ok(verify_as(assoc, "S123", false, &o));
    assert_true(o.proved);
    assert_ok(verify(assoc, "C7"));
    assert_err(verify(assoc, "S2"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "C77"), BST_E_NOT_AUTHENTICATED);
}

static void certificates_without_a_usable_name_are_refused(void **state)
{
    ASSOC *assoc = NULL;
    assert_err(cert(BST_CERT_FQDN, "mef.example.com", NULL, &assoc), BST_E_CREDENTIAL);
    assert_err(cert(BST_CERT_CSE | BST_CERT_FQDN, "id-in.evil.example", NULL, &assoc),
               BST_E_CREDENTIAL);
    assert_err(cert(BST_CERT_AE, "//acme.example.com", NULL, &assoc), BST_E_CREDENTIAL);
    assert_err(cert(BST_CERT_AE, "//acme.example.com/a/b/c", NULL, &assoc), BST_E_CREDENTIAL);
    assert_err(cert(BST_CERT_CSE, "a.b.acme.example.com", NULL, &assoc), BST_E_CREDENTIAL);
    assert_err(cert(BST_CERT_CSE, "evilacme.example.com", NULL, &assoc), BST_E_CREDENTIAL);
    assert_null(assoc);
}

static void a_binding_may_be_added_and_taken_away(void **state)
{
    ASSOC *assoc = psk("k2@mef.example.com", NULL);
    assert_err(verify(assoc, "S9"), BST_E_NOT_AUTHENTICATED);
    assert_ok(bst_association_bind_ae(assoc, bst_view("//acme.example.com/S9")));
    assert_ok(bst_association_bind_ae(assoc, bst_view("//acme.example.com/S9")));
    assert_int_equal(assoc->n_ae_ids, 1);
    assert_ok(verify(assoc, "S9"));
    bst_association_unbind_ae(assoc, bst_view("//acme.example.com/S9"));
    assert_err(verify(assoc, "S9"), BST_E_NOT_AUTHENTICATED);
    ASSOC *cse = cse_psk();
    assert_err(bst_association_bind_ae(cse, bst_view("//acme.example.com/S9")), BST_E_USAGE);
}

/* ---- From ---- */

static void from_may_be_absent_only_when_an_ae_registers(void **state)
{
    ASSOC *assoc = psk("k2@mef.example.com", NULL);
    struct bst_originator o;
    assert_err(verify(assoc, NULL), BST_E_SYNTAX);
    assert_err(verify(assoc, ""), BST_E_SYNTAX);
    assert_ok(verify_as(assoc, NULL, true, &o));
    assert_int_equal(o.id.len, 0);
    assert_false(o.proved);
    assert_ok(verify_as(assoc, "S", true, &o));
    assert_ok(verify_as(assoc, "C", true, &o));
    assert_err(verify(assoc, "not an id"), BST_E_SYNTAX);
}

static void an_ae_speaks_as_itself_only(void **state)
{
    ASSOC *assoc = ae_psk();
    struct bst_originator o;
    assert_ok(verify_as(assoc, "S1", false, &o));
    assert_true(o.proved);
    assert_string_equal(o.id.abs, "//acme.example.com/S1");
    assert_ok(verify(assoc, "/S1"));
    assert_err(verify(assoc, "S2"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "C1"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "/id-mn/C1"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "//other.example/S1"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "/id-in"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "/id-mn"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify_as(assoc, "S2", true, &o), BST_E_NOT_AUTHENTICATED);
}

static void an_ae_writes_its_stem_where_that_is_asked(void **state)
{
    ASSOC *assoc = ae_psk();
    struct bst_originator o;
    struct bst_originator_check check = {.self = &self,
                                         .assoc = assoc,
                                         .has_from = true,
                                         .registrations = &registrations,
                                         .stem_only = true};
    check.from = bst_view("S1");
    assert_ok(bst_originator_verify(&check, &o));
    check.from = bst_view("/S1");
    assert_err(bst_originator_verify(&check, &o), BST_E_SYNTAX);
    check.from = bst_view("//acme.example.com/S1");
    assert_err(bst_originator_verify(&check, &o), BST_E_SYNTAX);
}

static void an_unbound_credential_can_only_register(void **state)
{
    ASSOC *assoc = psk("k2@mef.example.com", NULL);
    struct bst_originator o;
    assert_ok(verify_as(assoc, "S5", true, &o));
    assert_false(o.proved);
    assert_err(verify(assoc, "S5"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "S1"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "/id-mn"), BST_E_NOT_AUTHENTICATED);
}

static void an_unbound_credential_registers_no_ae_of_another_cse(void **state)
{
    ASSOC *assoc = psk("k2@mef.example.com", NULL);
    struct bst_originator o;
    assert_ok(verify_as(assoc, "C5", true, &o));
    assert_err(verify_as(assoc, "/other/C5", true, &o), BST_E_NOT_AUTHENTICATED);
    assert_err(verify_as(assoc, "//other.example.org/id-in/C5", true, &o), BST_E_NOT_AUTHENTICATED);
    assert_err(verify_as(assoc, "//other.example.org/S5", true, &o), BST_E_NOT_AUTHENTICATED);
}

static void a_cse_speaks_as_itself_and_forwards_for_others(void **state)
{
    ASSOC *assoc = cse_psk();
    struct bst_originator o;
    assert_ok(verify_as(assoc, "/id-mn", false, &o));
    assert_true(o.proved);
    assert_ok(verify_as(assoc, "/id-mn/C1", false, &o));
    assert_false(o.proved);
    assert_true(o.forwarded);
    assert_ok(verify(assoc, "//other.example/cse/C4"));
    assert_ok(verify(assoc, "/S44"));
    /* a CSE behind it that is not our registree */
    assert_ok(verify(assoc, "/id-asn"));
}

static void a_cse_cannot_speak_for_our_other_registrees(void **state)
{
    ASSOC *assoc = cse_psk();
    struct bst_originator o;
    assert_err(verify(assoc, "/id-mn2"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "C9"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "/id-mn2/C1"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "//acme.example.com/id-mn2/C1"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "/id-in/C1"), BST_E_NOT_AUTHENTICATED);
    /* not registered, but policies may know the name */
    assert_err(verify(assoc, "/id-in/CAdmin"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "//acme.example.com/id-in/x9"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "/S1"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(assoc, "/id-in"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify_as(assoc, NULL, true, &o), BST_E_NOT_AUTHENTICATED);
}

static void outside_an_association_nobody_is_served(void **state)
{
    struct bst_originator o;
    assert_err(verify(NULL, "S2"), BST_E_NOT_AUTHENTICATED);
    assert_err(verify(NULL, "/id-mn"), BST_E_ASSOCIATION_REQUIRED);
    assert_err(verify(NULL, "S1"), BST_E_ASSOCIATION_REQUIRED);
    assert_err(verify_as(NULL, "S", true, &o), BST_E_ASSOCIATION_REQUIRED);
    assert_err(verify_as(NULL, "S3", true, &o), BST_E_ASSOCIATION_REQUIRED);
}

static void an_open_registrar_serves_its_aes_unproved(void **state)
{
    struct bst_originator_check check = {
        .self = &self, .registrations = &registrations, .has_from = true, .open_aes = true};
    struct bst_originator o;
    check.from = bst_view("S1");
    assert_ok(bst_originator_verify(&check, &o));
    assert_false(o.proved);
    check.from = bst_view("S2");
    assert_err(bst_originator_verify(&check, &o), BST_E_NOT_AUTHENTICATED);
    check.from = bst_view("/id-mn");
    assert_err(bst_originator_verify(&check, &o), BST_E_ASSOCIATION_REQUIRED);
    check.from = bst_view("S2");
    check.creates_ae = true;
    assert_ok(bst_originator_verify(&check, &o));
}

static void a_laboratory_takes_everything_as_written_and_unproved(void **state)
{
    ASSOC *assoc = lab();
    static const char *const writers[] = {"CAdmin", "S1", "/id-mn", "//other.example/cse/C1", "x"};
    assert_false(assoc->proved);
    for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
        struct bst_originator o;
        assert_ok(verify_as(assoc, writers[i], false, &o));
        assert_false(o.proved);
        assert_false(o.forwarded);
    }
    assert_err(verify(assoc, NULL), BST_E_SYNTAX);
    assert_err(verify(assoc, "a b"), BST_E_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_stands_for_the_entity_on_record),
        cmocka_unit_test(a_key_identity_of_another_form_is_refused),
        cmocka_unit_test(certificates_carry_their_identity),
        cmocka_unit_test(a_device_certificate_stands_for_a_list_of_aes),
        cmocka_unit_test(certificates_without_a_usable_name_are_refused),
        cmocka_unit_test(a_binding_may_be_added_and_taken_away),
        cmocka_unit_test(from_may_be_absent_only_when_an_ae_registers),
        cmocka_unit_test(an_ae_speaks_as_itself_only),
        cmocka_unit_test(an_ae_writes_its_stem_where_that_is_asked),
        cmocka_unit_test(an_unbound_credential_can_only_register),
        cmocka_unit_test(an_unbound_credential_registers_no_ae_of_another_cse),
        cmocka_unit_test(a_cse_speaks_as_itself_and_forwards_for_others),
        cmocka_unit_test(a_cse_cannot_speak_for_our_other_registrees),
        cmocka_unit_test(outside_an_association_nobody_is_served),
        cmocka_unit_test(an_open_registrar_serves_its_aes_unproved),
        cmocka_unit_test(a_laboratory_takes_everything_as_written_and_unproved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
