import { describe, expect, it } from 'vitest';
import { isIssuerUrl, isTokenShaped, parseRoleGrants, principalOf, rolesOf } from './oidc.model.js';

describe('roles', () => {
  it('are mapped to scopes, several to one and one to several', () => {
    expect(parseRoleGrants('weft-admin=admin, ops=read,shop=ingest:web,ops=ingest:web')).toEqual([
      { role: 'weft-admin', scope: 'admin', source: null },
      { role: 'ops', scope: 'read', source: null },
      { role: 'shop', scope: 'ingest', source: 'web' },
      { role: 'ops', scope: 'ingest', source: 'web' },
    ]);
  });

  it.each([
    '',
    'admin',
    '=read',
    'a=write',
    'a=edge',
    'a=ingest',
    'a=read:web',
    'a=ingest:No',
    'a=ingest:x,b=ingest:y',
  ])('cannot be mapped by %j', (text) => {
    expect(parseRoleGrants(text)).toBeNull();
  });

  it('stand in a claim as a list or as words, under a name with dots or at a path', () => {
    expect(rolesOf({ roles: ['a', 1, '', 'b'] }, 'roles')).toEqual(['a', 'b']);
    expect(rolesOf({ scope: 'openid a' }, 'scope')).toEqual(['openid', 'a']);
    expect(rolesOf({ realm_access: { roles: ['a'] } }, 'realm_access.roles')).toEqual(['a']);
    expect(rolesOf({ 'https://shop.example/roles': ['a'] }, 'https://shop.example/roles')).toEqual(['a']);
    for (const claims of [{}, { roles: null }, { roles: { a: true } }, { roles: 7 }]) {
      expect(rolesOf(claims, 'roles')).toEqual([]);
    }
    expect(rolesOf({}, '__proto__.constructor.name')).toEqual([]);
  });
});

describe('the principal of a token', () => {
  const claims = { iss: 'https://login.example', sub: 'ann@example.org', exp: 1_000, roles: ['ops', 'other'] };
  const roles = parseRoleGrants('ops=read,ops=ingest:web,boss=admin') ?? [];

  it('has the scopes of its roles, ends with the token and does not show who it is', async () => {
    const principal = await principalOf(claims, { roles, rolesClaim: 'roles' }, () => Promise.resolve(7));
    expect(principal).toMatchObject({ scopes: ['read', 'ingest'], sourceId: 7, expiresAt: 1_030_000 });
    expect(JSON.stringify(principal)).not.toContain('ann');
    const other = await principalOf({ ...claims, sub: 'bob' }, { roles, rolesClaim: 'roles' }, () =>
      Promise.resolve(7),
    );
    expect(other.id).not.toBe(principal.id);
  });

  it('may not send events of a source that there is not, and nothing at all without a role', async () => {
    const none = () => Promise.resolve(null);
    expect(await principalOf(claims, { roles, rolesClaim: 'roles' }, none)).toMatchObject({ scopes: ['read'] });
    expect(await principalOf(claims, { roles, rolesClaim: 'groups' }, none)).toMatchObject({
      scopes: [],
      sourceId: null,
    });
  });
});

describe('forms', () => {
  it('of tokens are three parts in base64url, of at most 8 KB', () => {
    expect(isTokenShaped('a.b-_.c')).toBe(true);
    for (const text of ['', 'a.b', 'a.b.c.d', 'a.b.', 'a.b.c d', `a.b.${'c'.repeat(8_192)}`]) {
      expect(isTokenShaped(text)).toBe(false);
    }
  });

  it('of issuers are URLs with TLS, or on this machine', () => {
    for (const url of [
      'https://login.example/realms/a',
      'http://localhost:8080',
      'http://127.0.0.1',
      'http://[::1]:1',
    ]) {
      expect(isIssuerUrl(url)).toBe(true);
    }
    for (const url of [
      '',
      'login.example',
      'http://login.example',
      'http://localhost.example',
      'https://u@x.example',
    ]) {
      expect(isIssuerUrl(url)).toBe(false);
    }
  });
});
