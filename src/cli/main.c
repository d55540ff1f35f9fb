/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

int main(void)
{
    fputs("isara: no verbs yet\n", stderr);
    return 2;
}
