/* Making client profiles for devices and applications of this provider. */
#pragma once

#include "cli/common.h"

struct cli_provision {
    const char *name;          /* of the device: KpmID and AE-ID are made from it */
    const char *stem;          /* AE-ID-Stem; NULL: "C" and the name */
    const char *folder;        /* the new profile */
    bool certificate;          /* AE-ID certificate in place of a pre-provisioned key */
    bool enrol;                /* the MEF shall know it */
    const char *se, *pin_file; /* where the keys shall be; NULL: software below the folder */
    const char *from, *until;  /* validity of the certificate, m2m timestamps; NULL: now, a year */
};
/** Make the profile folder; nothing of it is left on failure. */
bst_result cli_provision(const struct cli_call *call, const struct cli_provision *wish);
