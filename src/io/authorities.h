/* SPDX-License-Identifier: Apache-2.0 */
/* Whose certificates a connection trusts. */
#ifndef IO_AUTHORITIES_H
#define IO_AUTHORITIES_H

/* The file that the environment names ($REQUESTS_CA_BUNDLE, $CURL_CA_BUNDLE, $SSL_CERT_FILE); NULL: there is none named
 * and own, the one that libcurl was built to look for, is there or nothing else is; else where another system keeps
 * them, as a program may run on another than it was built on. */
const char *authorities_file(const char *own);

#endif
