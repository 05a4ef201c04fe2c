import js from '@eslint/js';
import tseslint from 'typescript-eslint';

const env = { object: 'process', property: 'env', message: 'Only src/config.ts reads the environment.' };
const exit = { object: 'process', property: 'exit', message: 'Only src/main.ts ends the process.' };
const noDefaultExport = { selector: 'ExportDefaultDeclaration', message: 'Exports have names.' };
const noSleep = {
  selector: "CallExpression[callee.name='setTimeout'][arguments.length=2] > Literal.arguments:last-child[value>=200]",
  message: 'Tests wait for what they wait for, not for a while.',
};

/** The style guide as far as a linter can hold it. Layers and cycles are dependency-cruiser's, format is prettier's. */
export default tseslint.config(
  {
    ignores: [
      '**/node_modules/',
      '**/dist/',
      '**/.next/',
      'coverage/',
      '.weft/',
      'trainer/',
      'seeds/data/',
      'integrations/wordpress/weft/assets/',
      'integrations/nextjs/',
    ],
  },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'separate-type-imports' }],
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/naming-convention': [
        'error',
        { selector: 'typeLike', format: ['PascalCase'] },
        { selector: 'interface', format: ['PascalCase'], custom: { regex: '^I[A-Z][a-z]', match: false } },
      ],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // `return fail(…)` ends a function that returns nothing, and says so.
      '@typescript-eslint/no-confusing-void-expression': 'off',
      // Recursive types of JSON need an index signature.
      '@typescript-eslint/consistent-indexed-object-style': 'off',
      // GraphQL types are declared as classes and answered as plain objects.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // Implementations of a port answer with a promise whether they wait or not.
      '@typescript-eslint/require-await': 'off',
      // GraphQL and TypeORM types are classes with fields and decorators only.
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      // Types of data from outside are claims; the checks that these rules call unnecessary are what makes them true.
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      '@typescript-eslint/consistent-type-definitions': 'off',
      '@typescript-eslint/no-unnecessary-type-parameters': 'off',
      // Index access is checked by noUncheckedIndexedAccess; a loop over an index is the fast one.
      '@typescript-eslint/prefer-for-of': 'off',
      'no-restricted-syntax': ['error', noDefaultExport],
      'no-restricted-properties': ['error', env, exit],
      'no-console': 'error',
      'prefer-const': ['error', { destructuring: 'all' }],
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      // Records of outside data read as `record['name']`.
      '@typescript-eslint/dot-notation': 'off',
      // Its fix is a `!`, which another rule forbids.
      '@typescript-eslint/non-nullable-type-assertion-style': 'off',
      // What was caught is passed on as it came.
      '@typescript-eslint/only-throw-error': ['error', { allowThrowingUnknown: true, allowThrowingAny: false }],
    },
  },
  {
    files: ['src/**/*.ts', 'sdk/js/src/**/*.ts', 'integrations/wordpress/browser/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      'max-lines': ['error', { max: 420, skipBlankLines: true }],
      'max-lines-per-function': ['error', { max: 90, skipBlankLines: true, skipComments: true }],
      'max-params': ['error', 6],
    },
  },
  {
    files: ['src/api/graphiql/page.js'],
    languageOptions: {
      sourceType: 'script',
      globals: Object.fromEntries(
        'document location sessionStorage fetch AbortController MutationObserver TextDecoderStream React ReactDOM GraphiQL'
          .split(' ')
          .map((name) => [name, 'readonly']),
      ),
    },
  },
  { files: ['src/config.ts'], rules: { 'no-restricted-properties': ['error', exit] } },
  { files: ['src/main.ts'], rules: { 'no-restricted-properties': ['error', env] } },
  {
    files: ['**/*.test.ts', 'test/**/*.ts', 'sdk/js/test/**/*.ts'],
    rules: {
      // Tests may be steered by the environment, as to run longer.
      'no-restricted-properties': ['error', exit],
      'no-restricted-syntax': ['error', noDefaultExport, noSleep],
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/unbound-method': 'off',
    },
  },
  {
    // Programs of their own, run by hand or by a script.
    files: [
      'scripts/**/*.ts',
      'seeds/**/*.ts',
      'test/bench/**/*.ts',
      'test/support/global-setup.ts',
      'test/**/*.program.ts',
    ],
    rules: { 'no-restricted-properties': 'off', 'no-console': 'off' },
  },
  // Its warnings are for whoever builds the page.
  { files: ['sdk/js/src/problem.ts'], rules: { 'no-console': ['error', { allow: ['warn'] }] } },
  { files: ['*.config.ts', 'test/support/global-setup.ts'], rules: { 'no-restricted-syntax': 'off' } },
  {
    files: ['**/*.js', '**/*.cjs'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly', module: 'writable' } },
  },
  {
    // For browsers, as they are.
    files: ['integrations/wordpress/weft/**/*.js', 'test/fixtures/wordpress/*.js'],
    languageOptions: {
      sourceType: 'script',
      globals: { window: 'readonly', document: 'readonly', fetch: 'readonly', FormData: 'readonly' },
    },
  },
  { files: ['bin/weft.js'], rules: { 'no-var': 'off' } },
);
