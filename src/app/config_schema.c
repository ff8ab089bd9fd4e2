/* The schema of the configuration: the only place that knows its names, defaults and limits. */
#include "app/config.h"
#include "se/filters.h"

#include <ctype.h>

#define AT(member) offsetof(struct bst_config, member)
#define MEF_AT(member) offsetof(struct bst_config_mef, member)

#define SECOND INT64_C(1)
#define DAY (86400 * SECOND)
#define YEAR (366 * DAY)

static bool is_domain_char(char c)
{
    return isalnum((unsigned char)c) || c == '-';
}

static bst_result check_domain(struct bst_view v)
{
    size_t label = 0;
    for (size_t i = 0; i <= v.len; i++) {
        if (i == v.len || v.ptr[i] == '.') {
            if (label == 0 || label > 63) {
                BST_FAIL(BST_E_VALUE, "'%.*s' is not a domain name", BST_VIEW_ARGS(v));
            }
            label = 0;
        } else if (is_domain_char(v.ptr[i])) {
            label++;
        } else {
            BST_FAIL(BST_E_VALUE, "'%.*s' is not a domain name", BST_VIEW_ARGS(v));
        }
    }
    return v.len > 253 ? bst_error_detailed(BST_E_VALUE, "the domain name is longer than 253")
                       : BST_OK;
}

static bst_result check_domain_or_none(struct bst_view v)
{
    return v.len ? check_domain(v) : BST_OK;
}

/* Unreserved characters of RFC 3986, as resource names and identifiers have them. */
static bst_result check_name(struct bst_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (!isalnum((unsigned char)v.ptr[i]) && !memchr("-._~", v.ptr[i], 4)) {
            BST_FAIL(BST_E_VALUE, "'%.*s': only letters, digits and -._~ may stand in a name",
                     BST_VIEW_ARGS(v));
        }
    }
    if (v.len == 0 || v.len > 64) {
        BST_FAIL(BST_E_VALUE, "a name has 1 to 64 characters");
    }
    return BST_OK;
}

static bst_result check_cse_id(struct bst_view v)
{
    if (v.len > 0 && v.ptr[0] == '/') {
        return check_name(bst_view_from(v, 1));
    }
    BST_FAIL(BST_E_VALUE, "a CSE-ID begins with '/', like /id-in");
}

static bst_result check_port(struct bst_view digits)
{
    uint64_t port;
    if (bst_failed(bst_parse_u64(digits, &port)) || port > 65535) {
        BST_FAIL(BST_E_VALUE, "'%.*s' is not a port (0 to 65535)", BST_VIEW_ARGS(digits));
    }
    return BST_OK;
}

static bst_result check_address(struct bst_view v)
{
    for (size_t i = v.len; i > 0; i--) {
        if (v.ptr[i - 1] == ':') {
            BST_ENSURE(i > 1, BST_E_VALUE);
            return check_port(bst_view_from(v, i));
        }
    }
    BST_FAIL(BST_E_VALUE, "'%.*s' is not ADDRESS:PORT, like 127.0.0.1:8443 or [::1]:8443",
             BST_VIEW_ARGS(v));
}

static bst_result check_address_or_none(struct bst_view v)
{
    return v.len ? check_address(v) : BST_OK;
}

static bst_result check_loopback(struct bst_view v)
{
    if (v.len == 0 || bst_view_starts(v, BST_VIEW("127.")) ||
        bst_view_starts(v, BST_VIEW("[::1]:"))) {
        return check_address_or_none(v);
    }
    BST_FAIL(BST_E_VALUE, "metrics are served on the loopback only; '%.*s' is not on it",
             BST_VIEW_ARGS(v));
}

static bst_result check_url(struct bst_view v)
{
    if (bst_view_starts(v, BST_VIEW("https://")) || bst_view_starts(v, BST_VIEW("http://"))) {
        return BST_OK;
    }
    BST_FAIL(BST_E_VALUE, "'%.*s' is not a URL that begins with https:// or http://",
             BST_VIEW_ARGS(v));
}

/* The state key protects all others, so its value may stand in no configuration. */
static bst_result check_key_place(struct bst_view v)
{
    if ((bst_view_starts(v, BST_VIEW("file:")) && v.len > 5) ||
        (bst_view_starts(v, BST_VIEW("credential:")) && v.len > 11)) {
        return BST_OK;
    }
    BST_FAIL(BST_E_VALUE, "a secret is named by its place, 'file:PATH' or 'credential:NAME', and "
                          "never written into the configuration");
}

static bst_result check_se_uri(struct bst_view v)
{
    static const char *const starts[] = {"pkcs11:", "tpm2:", "se:soft?dir="};
    for (size_t i = 0; v.len && i < sizeof starts / sizeof starts[0]; i++) {
        if (bst_view_starts(v, bst_view(starts[i]))) {
            return BST_OK;
        }
    }
    return v.len ? bst_error_detailed(BST_E_VALUE,
                                      "a secure environment that keeps keys is 'pkcs11:...', "
                                      "'tpm2:...' or 'se:soft?dir=FOLDER'")
                 : BST_OK;
}

static bst_result check_rule(struct bst_view v, bst_result (*check)(const char *rule))
{
    char text[512];
    BST_TRY(bst_view_copy(v, text, sizeof text));
    return check(text);
}

static bst_result check_policy(struct bst_view v)
{
    return check_rule(v, bst_se_policy_rule_check);
}

static bst_result check_quota(struct bst_view v)
{
    return check_rule(v, bst_se_quota_rule_check);
}

const struct bst_config_option bst_config_schema[] = {
    {"sp-domain", BST_CONFIG_TEXT, AT(sp_domain), "acme.example.com", .check = check_domain,
     .text = "Domain of the M2M service provider; absolute identifiers begin with `//` and this "
             "(TS-0001 7.2)."},
    {"workers", BST_CONFIG_INT, AT(workers), "0", .min = 0, .max = 256,
     .text = "Event loops, each on its own thread; 0 is one per processor."},

    {"cse.id", BST_CONFIG_TEXT, AT(cse.id), "/id-in", .check = check_cse_id,
     .text = "CSE-ID. It is part of every identifier that was ever given out, so it stays."},
    {"cse.name", BST_CONFIG_TEXT, AT(cse.name), "cse-in", .check = check_name,
     .text = "Resource name of the CSEBase."},
    {"cse.admin", BST_CONFIG_TEXT, AT(cse.admin), "CAdmin", .check = check_name,
     .text = "Originator with full rights by the first access control policy."},
    {"cse.fqdn", BST_CONFIG_TEXT, AT(cse.fqdn), "", .check = check_domain_or_none,
     .text = "Name that the CSE's certificate proves; empty: the CSE-ID, a dot and the SP domain "
             "(TS-0001 6.5.1.1)."},
    {"cse.listen", BST_CONFIG_TEXTS, AT(cse.listen), "0.0.0.0:8443", .check = check_address,
     .text = "Addresses of the HTTPS interface (Mca, Mcc)."},
    {"cse.certificate", BST_CONFIG_TEXT, AT(cse.certificate), "pki/cse.pem", .live = true,
     .text = "Certificate chain in PEM, leaf first. The key stays in the secure environment under "
             "the label `cse.tls`."},
    {"cse.key-uri", BST_CONFIG_TEXT, AT(cse.key_uri), "", .check = check_se_uri, .live = true,
     .text = "Where that key is: an address as in `se.uri`, with `object=LABEL` for a key of "
             "another name; empty: `se.uri`. A reload opens it anew."},
    {"cse.poa", BST_CONFIG_TEXTS, AT(cse.poa), "", .check = check_url,
     .text = "Points of access that the CSEBase tells (pointOfAccess)."},
    {"cse.require-subscription", BST_CONFIG_BOOL, AT(cse.require_subscription), "false",
     .text = "Whether an AE may register only when a service subscription profile names it "
             "(TS-0004 7.3.2.7)."},
    {"cse.default-life-s", BST_CONFIG_INT, AT(cse.default_life_s), "157680000", "s", 60, 100 * YEAR,
     .text = "Time until expiry of a resource whose creator gave none."},
    {"cse.max-life-s", BST_CONFIG_INT, AT(cse.max_life_s), "631152000", "s", 60, 100 * YEAR,
     .text = "Longest time until expiry that is granted."},
    {"cse.max-results", BST_CONFIG_INT, AT(cse.max_results), "5000", .min = 1, .max = 1000000,
     .text = "Resources in one answer; longer ones come in parts (TS-0004 cnst, cnot)."},

    {"mef.enabled", BST_CONFIG_BOOL, AT(mef.enabled), "true",
     .text = "Whether this process is also an M2M Enrolment Function."},
    {"mef.fqdn", BST_CONFIG_TEXT, AT(mef.fqdn), "", .check = check_domain_or_none,
     .text = "MEF-ID, the name in its certificate; empty: `mef.` and the SP domain."},
    {"mef.listen", BST_CONFIG_TEXTS, AT(mef.listen), "0.0.0.0:8453", .check = check_address,
     .text = "Addresses of the HTTPS interface (Mmef)."},
    {"mef.certificate", BST_CONFIG_TEXT, AT(mef.certificate), "pki/mef.pem", .live = true,
     .text = "Certificate chain in PEM; the key has the label `mef.tls`."},
    {"mef.key-uri", BST_CONFIG_TEXT, AT(mef.key_uri), "", .check = check_se_uri, .live = true,
     .text = "Where that key is; as `cse.key-uri`."},

    {"pki.ca-uri", BST_CONFIG_TEXT, AT(pki.ca_uri), "", .check = check_se_uri, .live = true,
     .text = "Where the key of the project CA is (label `pki.ca`); as `cse.key-uri`."},

    {"enrolment.servers", BST_CONFIG_MEFS, AT(enrolment.servers), "",
     .text = "MEFs whose keys the CSE accepts and fetches, besides its own. No other MEF is ever "
             "asked, whatever a peer presents."},
    {"enrolment.lookup-ms", BST_CONFIG_INT, AT(enrolment.lookup_ms), "6000", "ms", 100, 60000,
     .text = "Time for fetching a key while a handshake waits; must be below `http.handshake-ms`."},
    {"enrolment.missing-s", BST_CONFIG_INT, AT(enrolment.missing_s), "30", "s", 0, 3600,
     .text = "How long an identity that a MEF does not know is not asked for again."},
    {"enrolment.keep-s", BST_CONFIG_INT, AT(enrolment.keep_s), "3600", "s", 1, 604800,
     .text = "How long a fetched key is used before the MEF is asked again; it is kept in memory "
             "only."},
    {"enrolment.lookups", BST_CONFIG_INT, AT(enrolment.lookups), "256", .min = 1, .max = 65536,
     .text = "Keys being fetched at a time, in all."},
    {"enrolment.lookups-per-peer", BST_CONFIG_INT, AT(enrolment.lookups_per_peer), "16", .min = 1,
     .max = 65536, .text = "Keys being fetched at a time for one peer address."},

    {"tls.profile", BST_CONFIG_TEXT, AT(tls.profile), "onem2m",
     .text = "TLS profile of the CSE's interface: versions, suites and groups as one named set."},
    {"tls.mef-profile", BST_CONFIG_TEXT, AT(tls.mef_profile), "onem2m-tls12",
     .text = "TLS profile of the MEF's interface (TLS 1.2 with extended master secret)."},
    {"tls.ca", BST_CONFIG_TEXTS, AT(tls.ca), "pki/ca.crt", .live = true,
     .text = "Files with the certificates that clients' chains must end in."},
    {"tls.crl", BST_CONFIG_TEXTS, AT(tls.crl), "pki/ca.crl", .live = true,
     .text = "Files with certificate revocation lists."},
    {"tls.crl-policy", BST_CONFIG_TEXT, AT(tls.crl_policy), "required", .live = true,
     .choices = "required|if-present|none",
     .text = "What holds without a current list: `required` refuses the certificate, `if-present` "
             "checks the lists there are, `none` checks no list."},
    {"tls.ticket-s", BST_CONFIG_INT, AT(tls.ticket_s), "3600", "s", 0, 86400,
     .text = "Lifetime of session tickets of certificate sessions; 0: none."},

    {"http.connections", BST_CONFIG_INT, AT(http.connections), "4096", .min = 1, .max = 1000000,
     .text = "Connections in all."},
    {"http.connections-per-peer", BST_CONFIG_INT, AT(http.connections_per_peer), "256", .min = 0,
     .max = 1000000, .text = "Connections of one IPv4 address or IPv6 /64; 0: no limit."},
    {"http.body-bytes", BST_CONFIG_INT, AT(http.body_bytes), "4194304", "bytes", 1024, 1 << 30,
     .text = "Largest message body."},
    {"http.header-bytes", BST_CONFIG_INT, AT(http.header_bytes), "32768", "bytes", 1024, 1 << 20,
     .text = "Largest message header."},
    {"http.handshake-ms", BST_CONFIG_INT, AT(http.handshake_ms), "10000", "ms", 500, 120000,
     .text = "Deadline of a TLS handshake, from the accepted connection."},
    {"http.header-ms", BST_CONFIG_INT, AT(http.header_ms), "10000", "ms", 100, 600000,
     .text = "Deadline of a message header, from its first byte."},
    {"http.body-ms", BST_CONFIG_INT, AT(http.body_ms), "30000", "ms", 100, 600000,
     .text = "Deadline of a message body, from its header."},
    {"http.idle-ms", BST_CONFIG_INT, AT(http.idle_ms), "60000", "ms", 100, 3600000,
     .text = "How long a connection is kept without a request."},
    {"http.drain-ms", BST_CONFIG_INT, AT(http.drain_ms), "4000", "ms", 100, 60000,
     .text = "Time for running requests at the end of the process."},

    {"notify.allow", BST_CONFIG_TEXTS, AT(notify.allow), "127.0.0.0/8 ::1/128", .live = true,
     .text = "Where notifications may go: addresses with a prefix length (`10.1.0.0/16`) or host "
             "names, `*` for any. Link-local and multicast addresses need an entry of their own."},
    {"notify.queue", BST_CONFIG_INT, AT(notify.queue), "1000", .min = 1, .max = 1000000,
     .text = "Notifications waiting for one target; what exceeds it is dropped and counted."},
    {"notify.attempts", BST_CONFIG_INT, AT(notify.attempts), "5", .min = 1, .max = 100,
     .text = "Attempts before a notification is given up; the pause doubles each time."},
    {"notify.timeout-ms", BST_CONFIG_INT, AT(notify.timeout_ms), "10000", "ms", 100, 600000,
     .text = "Deadline of one attempt."},

    {"log.level", BST_CONFIG_TEXT, AT(log.level), "info", .live = true,
     .choices = "error|warn|info|debug", .text = "Least important lines that are written."},
    {"log.format", BST_CONFIG_TEXT, AT(log.format), "auto", .live = true,
     .choices = "auto|text|json|journal",
     .text = "Form of the log; `auto` is journald's fields under systemd, else text."},

    {"audit.folder", BST_CONFIG_TEXT, AT(audit.folder), "audit",
     .text = "Folder of the audit trail."},
    {"audit.head-folder", BST_CONFIG_TEXT, AT(audit.head_folder), "audit-head",
     .text = "Folder of the trail's head, best on another disk: it shows whether the end of the "
             "trail was cut off."},
    {"audit.file-bytes", BST_CONFIG_INT, AT(audit.file_bytes), "16777216", "bytes", 65536, 1 << 30,
     .text = "Size at which a new file of the trail begins."},
    {"audit.keep-files", BST_CONFIG_INT, AT(audit.keep_files), "64", .min = 0, .max = 100000,
     .text = "Files that are kept; 0: all."},
    {"audit.merge-s", BST_CONFIG_INT, AT(audit.merge_s), "10", "s", 1, 3600,
     .text = "Equal denials within this time become one record with a count."},

    {"metrics.listen", BST_CONFIG_TEXT, AT(metrics.listen), "127.0.0.1:9464",
     .check = check_loopback,
     .text = "Address of `/metrics` (Prometheus text format), on the loopback; empty: none."},

    {"admin.socket", BST_CONFIG_TEXT, AT(admin.socket), "run/admin.sock",
     .text = "Unix socket for commands that change a running server."},
    {"admin.users", BST_CONFIG_TEXTS, AT(admin.users), "", .check = check_name,
     .text = "Numeric user ids that may use it, besides root and the server's own."},

    {"se.uri", BST_CONFIG_TEXT, AT(se.uri), "", .check = check_se_uri,
     .text = "Secure environment that holds the keys; empty: software, in the folder `se` of the "
             "state. `pkcs11:token=NAME?pin-source=file:PATH` is a token (docs/keys.md). Chosen "
             "before `bastide init`; keys do not move."},
    {"se.state-key", BST_CONFIG_TEXT, AT(se.state_key), "file:se/state.key",
     .check = check_key_place,
     .text = "Where the key lies that seals all keys at rest: `file:PATH` (mode 0600) or "
             "`credential:NAME` of the service manager."},
    {"se.policy", BST_CONFIG_TEXTS, AT(se.policy), "", .check = check_policy,
     .text = "Who may use which key for what, a rule a line: `allow` or `deny`, then `subject=`, "
             "`owner=`, `label=`, `suid=`, `op=` (docs/keys.md). The first rule that fits decides, "
             "and what none fits is denied; without rules everything is allowed."},
    {"se.quota", BST_CONFIG_TEXTS, AT(se.quota), "", .check = check_quota,
     .text = "How many keys the owners may have and how often they may be used, a rule a line: "
             "`owner=`, `keys=`, `per-second=`. The first rule that fits an owner decides."},
};
const size_t bst_config_schema_count = sizeof bst_config_schema / sizeof bst_config_schema[0];

const struct bst_config_option bst_config_mef_schema[] = {
    {"fqdn", BST_CONFIG_TEXT, MEF_AT(fqdn), "", .check = check_domain,
     .text = "MEF-ID: the name its certificate must prove and key identifiers end in."},
    {"address", BST_CONFIG_TEXT, MEF_AT(address), "", .check = check_address_or_none,
     .text = "Address that is dialled; empty: the name, port 8453."},
    {"ca", BST_CONFIG_TEXT, MEF_AT(ca), "",
     .text = "File with the certificate that its chain must end in; empty: `tls.ca`."},
};
const size_t bst_config_mef_schema_count =
    sizeof bst_config_mef_schema / sizeof bst_config_mef_schema[0];
