/**
 * The architecture as rules. Data flows to the right, knowledge to the left: a module imports only modules to its left.
 *
 *   events → identity → profiles → features → scoring → segments → activation
 *
 * Of another module only `*.model.ts` (types and pure functions) and `*.reader.ts` (batched reads) may be imported, so
 * that nobody writes in another's tables. The files directly in src/ compose the program and may import anything.
 */
const FLOW = ['events', 'identity', 'profiles', 'features', 'scoring', 'segments', 'activation'];

/** Beside the flow: each of these may know the modules named, and none of the flow knows them. */
const BESIDE = {
  schedules: [],
  sources: ['events', 'features', 'schedules'],
  enrichment: ['events'],
  plans: ['events', 'features', 'sources'],
  privacy: FLOW,
  audit: [],
  monitoring: FLOW,
};

const MODULES = [...FLOW, ...Object.keys(BESIDE)];
const UNDER_TEST = '\\.test\\.ts$';
const ROLES = '\\.(model|reader)\\.ts$';

const oneOf = (names) => `^src/(${names.join('|')})/`;

const flowRules = FLOW.map((name, i) => ({
  name: `flow-${name}`,
  comment: `${name} knows only what is to its left`,
  severity: 'error',
  from: { path: `^src/${name}/`, pathNot: UNDER_TEST },
  to: { path: oneOf([...FLOW.slice(i + 1), ...Object.keys(BESIDE), 'api']) },
}));

const besideRules = Object.entries(BESIDE).map(([name, known]) => ({
  name: `flow-${name}`,
  comment: `${name} knows only ${known.join(', ')}`,
  severity: 'error',
  from: { path: `^src/${name}/`, pathNot: UNDER_TEST },
  to: { path: oneOf([...MODULES.filter((other) => other !== name && !known.includes(other)), 'api']) },
}));

const roleRules = MODULES.map((name) => ({
  name: `role-${name}`,
  comment: 'of another module only models and readers',
  severity: 'error',
  from: { path: `^src/${name}/`, pathNot: UNDER_TEST },
  to: { path: oneOf(MODULES.filter((other) => other !== name)), pathNot: ROLES },
}));

module.exports = {
  forbidden: [
    ...flowRules,
    ...besideRules,
    ...roleRules,
    {
      name: 'api-never-writes-by-itself',
      comment: 'the API calls services and readers; what writes is behind them',
      severity: 'error',
      from: { path: '^src/api/', pathNot: UNDER_TEST },
      to: { path: `${oneOf(MODULES)}.*\\.(store|step|entity|postgres|redis|memory)\\.ts$` },
    },
    {
      name: 'platform-knows-no-domain',
      comment: 'platform has no domain words',
      severity: 'error',
      from: { path: '^src/platform/' },
      to: { path: '^src/', pathNot: '^src/platform/' },
    },
    {
      name: 'modules-do-not-know-their-composition',
      comment: 'what a module needs is handed to it; configuration is values, not an import',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: UNDER_TEST },
      to: { path: '^src/[^/]+\\.ts$' },
    },
    {
      name: 'no-cycles',
      comment: 'types too: two files that need each other are one file or three',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-test-code-in-the-program',
      severity: 'error',
      from: { path: '^(src|migrations|bin)/', pathNot: UNDER_TEST },
      to: { path: ['^test/', UNDER_TEST] },
    },
    {
      name: 'the-program-stands-without-its-seeds',
      comment: 'but for the one command that runs them',
      severity: 'error',
      from: { path: '^(src|migrations)/', pathNot: [UNDER_TEST, '^src/demo\\.command\\.ts$'] },
      to: { path: '^(seeds|scripts|trainer)/' },
    },
    {
      name: 'seeds-come-in-through-the-door',
      comment: 'seeds are users of the program: they load files and send requests, they write no table',
      severity: 'error',
      from: { path: '^seeds/', pathNot: UNDER_TEST },
      to: { path: '^src/.*\\.(store|step|entity|postgres|redis|memory)\\.ts$' },
    },
    {
      name: 'the-client-stands-alone',
      comment: 'it is published by itself and has no dependencies',
      severity: 'error',
      from: { path: '^sdk/js/src/', pathNot: UNDER_TEST },
      to: { pathNot: ['^sdk/js/src/', '^(node:)?crypto$'] },
    },
    {
      name: 'the-client-for-browsers-knows-no-node',
      severity: 'error',
      from: { path: '^sdk/js/src/', pathNot: [UNDER_TEST, '^sdk/js/src/(server|sign-identifier)\\.ts$'] },
      to: { path: ['^(node:)?crypto$', '^sdk/js/src/(server|sign-identifier|memory-queue)\\.ts$'] },
    },
    {
      name: 'no-development-dependency-in-the-program',
      severity: 'error',
      from: { path: '^(src|migrations)/', pathNot: UNDER_TEST },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'], pathNot: 'node_modules/@types/' },
    },
    {
      name: 'only-declared-dependencies',
      comment: 'a package that is there by accident is gone after the next update',
      severity: 'error',
      from: { path: '^(src|migrations|test|seeds|scripts)/' },
      // An optional peer is named in peerDependenciesMeta too, which counts as npm-no-pkg.
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['npm-peer'] },
    },
    {
      name: 'everything-resolves',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'types', 'default'],
    },
    combinedDependencies: false,
  },
};
