import { NextResponse, type NextRequest } from 'next/server';
import { anonymousIdOf, newAnonymousId } from '@weft/js/server';
import { COOKIE } from './lib/weft-cookie';

const MAX_AGE_S = 390 * 86_400;

/**
 * Gives each visitor an anonymous id before the first page is rendered, so that even this one can be about them. Where
 * the law asks for consent first, do so only for visitors whose consent is on record.
 */
export function proxy(request: NextRequest): NextResponse {
  if (anonymousIdOf(request.headers.get('cookie')) !== null) return NextResponse.next();
  const id = newAnonymousId();
  // For the page that is rendered now …
  request.cookies.set(COOKIE, id);
  const response = NextResponse.next({ request: { headers: request.headers } });
  // … and for those to come. Not httpOnly: the client in the browser goes by the same id.
  response.cookies.set(COOKIE, id, {
    path: '/',
    maxAge: MAX_AGE_S,
    sameSite: 'lax',
    secure: request.nextUrl.protocol === 'https:',
  });
  return response;
}

export const config = { matcher: ['/((?!_next/|favicon.ico).*)'] };
