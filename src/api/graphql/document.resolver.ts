import { Arg, Authorized, Ctx, Field, ID, InputType, Int, Mutation, ObjectType, Query, Resolver } from 'type-graphql';
import type { CheckedDocument } from '../documents/stored-document.service.js';
import type { ApiContext } from './api-context.js';
import {
  AFTER,
  connectionTypes,
  DEFAULT_PAGE_SIZE,
  FIRST,
  pageByKey,
  pageSize,
  type Connection,
  type Edge,
} from './connection.types.js';
import { cursorDocumentId, DOCUMENT_CURSOR } from './cursors.js';
import { resultUnion } from './failure.types.js';
import { DateTime } from './scalars.js';

@ObjectType('StoredDocument', {
  simpleResolvers: true,
  description: 'A GraphQL document that requests may name by its id. Edge keys may only ask by these.',
})
class StoredDocumentType {
  @Field(() => ID, {
    description: 'SHA-256 of its text, 64 hexadecimal digits; requests send it as `documentId: "sha256:<id>"`.',
  })
  id!: string;

  @Field(() => String, { description: 'The names of its operations, for people: `EdgeProfile`.' })
  name!: string;

  @Field(() => String, { description: 'Its text, to the last character.' })
  text!: string;

  @Field(() => Boolean, { description: "Whether it is one of Weft's own clients, which are there from the start." })
  isStandard!: boolean;

  @Field(() => DateTime, { nullable: true, description: 'When it was stored; null for standard documents.' })
  createdAt!: number | null;

  @Field(() => String, {
    nullable: true,
    description: 'Why it cannot be executed any more, since the schema changed; null where it can.',
  })
  problem!: string | null;
}

@InputType('StoredDocumentInput', { description: 'A document to be stored.' })
class StoredDocumentInput {
  @Field(() => String, { description: 'Its text, exactly as clients hash it; at most 32,768 characters.' })
  text!: string;
}

@ObjectType('StoredDocuments', { simpleResolvers: true, description: 'Documents that were stored.' })
class StoredDocumentsType {
  @Field(() => [StoredDocumentType], { description: 'In the order given; those that were there before, too.' })
  documents!: readonly CheckedDocument[];
}

@ObjectType('RemovedStoredDocument', { simpleResolvers: true, description: 'A document that was removed.' })
class RemovedStoredDocument {
  @Field(() => ID, { description: 'Its id: SHA-256 of its text, 64 hexadecimal digits, as `9f86d081…`.' })
  id!: string;
}

const DocumentConnection = connectionTypes<CheckedDocument>(StoredDocumentType, 'StoredDocument');
const Stored = resultUnion<StoredDocumentsType>(
  'StoreDocumentsResult',
  { type: StoredDocumentsType, name: 'StoredDocuments' },
  ['BadRequest'],
);
const Removed = resultUnion<RemovedStoredDocument>(
  'RemoveStoredDocumentResult',
  { type: RemovedStoredDocument, name: 'RemovedStoredDocument' },
  ['NotFound', 'Conflict'],
);

@Resolver()
export class DocumentResolver {
  @Authorized('admin')
  @Query(() => DocumentConnection, { description: 'The documents that requests may name, by id.' })
  async storedDocuments(
    @Ctx() { services }: ApiContext,
    @Arg('first', () => Int, { defaultValue: DEFAULT_PAGE_SIZE, description: FIRST }) first: number,
    @Arg('after', () => String, { nullable: true, description: AFTER }) after: string | null | undefined,
  ): Promise<Connection<Edge<CheckedDocument>>> {
    const from = typeof after === 'string' ? cursorDocumentId(DOCUMENT_CURSOR.decode(after).key) : null;
    const documents = await services.documents.page(from, pageSize(first) + 1);
    return pageByKey(documents, ({ id }) => id, DOCUMENT_CURSOR, { first, after });
  }

  @Authorized('admin')
  @Mutation(() => Stored.type, {
    description:
      'Stores documents that are valid and within the limits of queries, all or none. Other processes know them a ' +
      'second later.',
  })
  storeDocuments(
    @Ctx() { services }: ApiContext,
    @Arg('documents', () => [StoredDocumentInput], { description: 'The texts to be stored, 1 to 200.' })
    documents: StoredDocumentInput[],
  ): Promise<unknown> {
    return Stored.attempt(async () => ({
      documents: await services.documents.store(documents.map(({ text }) => text)),
    }));
  }

  @Authorized('admin')
  @Mutation(() => Removed.type, {
    description: 'Removes a document: whoever may only ask by stored ones is refused from then on.',
  })
  removeStoredDocument(
    @Ctx() { services }: ApiContext,
    @Arg('id', () => ID, { description: 'Its id, with or without `sha256:` before it.' }) id: string,
  ): Promise<unknown> {
    return Removed.attempt(async () => {
      await services.documents.remove(id);
      return { id: id.replace(/^sha256:/, '').toLowerCase() };
    });
  }
}
