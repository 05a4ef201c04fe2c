#!/usr/bin/env bash
# Identity against its definitions over thousands of random histories, of which `npm test` tries some hundreds:
#
#   npm run test:histories -- [IN_MEMORY] [IN_DATABASE]
#
# IN_MEMORY histories without a database (default 4,000), IN_DATABASE through the whole program (default 200; a tenth of
# that where each has several databases to itself). WEFT_TEST_SEED chooses others; a failure names its seed.
set -euo pipefail
cd "$(dirname "$0")/.."
in_memory=${1:-4000}
in_database=${2:-200}

WEFT_TEST_HISTORIES=$in_memory npx vitest run --testTimeout 3600000 src/identity/identity-oracle.test.ts src/identity/identity-properties.test.ts
WEFT_TEST_HISTORIES=$in_database npx vitest run --testTimeout 3600000 \
  test/pipeline/identity-oracle.test.ts test/pipeline/merge-unmerge-by-hand.test.ts
WEFT_TEST_HISTORIES=$(((in_database + 9) / 10)) npx vitest run --testTimeout 3600000 \
  test/pipeline/blocked-histories.test.ts test/pipeline/mixed-changes-preview.test.ts
