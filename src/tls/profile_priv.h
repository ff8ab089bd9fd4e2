/* One row of the profile table; tests and benchmarks make rows of their own. */
#pragma once

#include "tls/profile.h"

struct bst_tls_profile {
    const char *name;
    const char *purpose;
    const char *clause; /* that asks for it, "" when it is our own choice */
    int min_version, max_version;
    const char *psk12;    /* TLS 1.2 suites by PSK, OpenSSL names, preferred first */
    const char *cert12;   /* TLS 1.2 suites by certificate */
    const char *suites13; /* TLS 1.3; the first must use SHA-256, as PSKs do */
    const char *groups;
    const char *groups_older; /* when OpenSSL does not know one of `groups`; NULL: none needed */
    const char *sigalgs;
    int level; /* OpenSSL's security level */
};
