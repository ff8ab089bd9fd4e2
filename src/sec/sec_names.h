/* Names and numbers of the interfaces Mmef and Mmaf (TS-0032), which TS-0003 describes without
 * fixing them. One table: whoever holds TS-0032 corrects it here and nowhere else. */
#pragma once

/* Resource types. TS-0004 gives these types no number. */
enum {
    BST_SEC_TY_MAF_BASE = 30001,
    BST_SEC_TY_MAF_CLIENT_REG = 30002,
    BST_SEC_TY_MEF_BASE = 30003,
    BST_SEC_TY_MEF_CLIENT_REG = 30004,
    BST_SEC_TY_SYMM_KEY_REG = 30005,
    BST_SEC_TY_MEF_CLIENT_CMD = 30006,
};

/* Root members of representations. */
#define BST_SEC_ROOT_MAF_BASE "sec:mafb"
#define BST_SEC_ROOT_MAF_CLIENT_REG "sec:macr"
#define BST_SEC_ROOT_MEF_BASE "sec:mefb"
#define BST_SEC_ROOT_MEF_CLIENT_REG "sec:mecr"
#define BST_SEC_ROOT_SYMM_KEY_REG "sec:skr"
#define BST_SEC_ROOT_MEF_CLIENT_CMD "sec:mecc"

/* Attributes; those of TS-0004 keep their short names. */
#define BST_SEC_SN_RESOURCE_ID "ri"
#define BST_SEC_SN_RESOURCE_NAME "rn"
#define BST_SEC_SN_RESOURCE_TYPE "ty"
#define BST_SEC_SN_PARENT_ID "pi"
#define BST_SEC_SN_CREATION_TIME "ct"
#define BST_SEC_SN_LAST_MODIFIED "lt"
#define BST_SEC_SN_EXPIRATION_TIME "et"
#define BST_SEC_SN_LABELS "lbl"
#define BST_SEC_SN_CREATOR "cr"        /* ClientID, SourceClientID */
#define BST_SEC_SN_ADMIN_FQDN "adfq"   /* adminFQDN */
#define BST_SEC_SN_FQDN "fq"           /* fqdn: of the function that is asked */
#define BST_SEC_SN_ASSIGNED_KEY "aski" /* assignedSymmKeyID */
#define BST_SEC_SN_CLIENT_CFG "cfg"    /* clientCfg */
#define BST_SEC_SN_SUID "suid"         /* SUID */
#define BST_SEC_SN_TARGET_IDS "tgis"   /* targetIDs */
#define BST_SEC_SN_KEY_VALUE "kv"      /* keyValue */
#define BST_SEC_SN_CMD_ID "cid"        /* cmdID */
#define BST_SEC_SN_CMD_DESCRIPTION "cds"
#define BST_SEC_SN_CMD_STATUS "csc"
#define BST_SEC_SN_DEVICE_CONFIG_URI "dcu"
#define BST_SEC_SN_SUPPORTED_TYPES "srt"

/* Addresses: the base resource, and the names under which it is accepted too. */
#define BST_SEC_BASE "-"
#define BST_SEC_BASE_MEF "mef"
#define BST_SEC_BASE_MAF "maf"
/* The older retrieval of a derived key: fetchCredentials/<KeID>/<SUID> (TS-0003 8.3.2.1). */
#define BST_SEC_FETCH_CREDENTIALS "fetchCredentials"
#define BST_SEC_FETCH_STATUS "Status"
#define BST_SEC_FETCH_CREDENTIAL "Credential"
#define BST_SEC_FETCH_ENROLEE_ID "EnroleeID"
#define BST_SEC_FETCH_LIFETIME "Lifetime"
#define BST_SEC_FETCH_ERROR "ErrorString"

/* m2m:suid, TS-0004 6.3.4.2.39: tens digit where the key comes from, units digit what it is for. */
enum {
    BST_SUID_MEF_KEY_MAF = 21,
    BST_SUID_MEF_KEY_SAEF = 22,
    BST_SUID_MEF_KEY_ESPRIM = 23,
    BST_SUID_MEF_KEY_ESDATA_ENC = 24,
    BST_SUID_MEF_KEY_ESDATA_SIG = 25,
};
/** Keys that a MEF distributes. */
static inline int bst_suid_is_mef_key(long long suid)
{
    return suid >= BST_SUID_MEF_KEY_MAF && suid <= BST_SUID_MEF_KEY_ESDATA_SIG;
}
/** ESData keys may have many targets, all others exactly one. */
static inline int bst_suid_many_targets(long long suid)
{
    return suid == BST_SUID_MEF_KEY_ESDATA_ENC || suid == BST_SUID_MEF_KEY_ESDATA_SIG;
}
