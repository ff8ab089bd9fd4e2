/* Activation: the proof that an attestation comes from the TPM of an EK certificate.
 *
 * Verifier: bst_se_attest() with any nonce gives signer and certificate; bst_tpm2_challenge() makes
 * of them a challenge and a secret nonce. TPM: bst_se_attest() with the challenge as nonce opens
 * it, which only the TPM of the certificate does and only for that signer, and answers with the
 * secret one. Verifier: bst_se_attest_verify() with the secret nonce now gives the level of the
 * TPM; it also knows signer and certificate by that nonce, and takes no others. */
#pragma once

#include "se/se.h"

/** What a nonce out of a challenge begins with. */
#define BST_TPM2_ACTIVATED "activated"

/** Pure but for the random secret.
 * @param first          an attestation that was verified
 * @param ret_challenge  goes to the TPM, appended  @param ret_nonce  stays secret, appended
 * @error BST_E_BAD_CERT  its EK certificate is of none of the roots
 * @error BST_E_SE_MECHANISM  there is no EK certificate, or not one of an EC P-256 key */
bst_result bst_tpm2_challenge(const struct bst_se_attestation *first, struct bst_view roots,
                              struct bst_buf *ret_challenge, struct bst_buf *ret_nonce);
