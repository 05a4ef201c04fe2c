import { EDGE_PROFILE_DOCUMENT } from '../../src/api/graphql/edge-documents.js';
import { documentId } from '../../src/api/documents/stored-document.model.js';

/** The document of our clients, as requests name it. */
export const EDGE_DOCUMENT_ID = `sha256:${documentId(EDGE_PROFILE_DOCUMENT)}`;

export interface EdgeProfileAnswer {
  readonly known: boolean;
  readonly degraded: boolean;
  readonly asOf: string | null;
  readonly segments: readonly string[];
  readonly traits: Readonly<Record<string, unknown>>;
  readonly scores: readonly { readonly model: string; readonly value: number | null; readonly label: string | null }[];
}

export interface EdgeCall {
  readonly key: string | null;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: the document of our clients. */
  readonly documentId?: string;
}

export interface EdgeResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly profile: EdgeProfileAnswer | null;
  readonly code: string | null;
}

/** The address that a page asks: everything is in it, so that there is no preflight and a cache can hold the answer. */
export function edgeUrl(base: string, { key, variables, documentId: id = EDGE_DOCUMENT_ID }: EdgeCall): string {
  const search = new URLSearchParams({ documentId: id, variables: JSON.stringify(variables) });
  if (key !== null) search.set('key', key);
  return `${base}/graphql?${search.toString()}`;
}

/** Asks as a page does. */
export async function askEdge(base: string, call: EdgeCall): Promise<EdgeResponse> {
  return toEdgeResponse(await fetch(edgeUrl(base, call), { headers: call.headers ?? {} }));
}

/** Asks as a server does. */
export async function postEdge(
  base: string,
  { key, variables, headers = {}, documentId: id }: EdgeCall,
): Promise<EdgeResponse> {
  const authorization: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
  const response = await fetch(`${base}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization, ...headers },
    body: JSON.stringify({ documentId: id ?? EDGE_DOCUMENT_ID, variables }),
  });
  return toEdgeResponse(response);
}

async function toEdgeResponse(response: Response): Promise<EdgeResponse> {
  const text = await response.text();
  const { data, errors } = (text === '' ? {} : JSON.parse(text)) as {
    data?: { edgeProfile: EdgeProfileAnswer } | null;
    errors?: { extensions: { code: string } }[];
  };
  return {
    status: response.status,
    headers: response.headers,
    text,
    profile: data?.edgeProfile ?? null,
    code: errors?.[0]?.extensions.code ?? null,
  };
}
