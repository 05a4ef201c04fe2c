import {
  execute,
  getNamedType,
  GraphQLError,
  isInputObjectType,
  OperationTypeNode,
  typeFromAST,
  type DocumentNode,
  type ExecutionResult,
  type GraphQLNamedType,
  type GraphQLSchema,
  type NamedTypeNode,
  type OperationDefinitionNode,
} from 'graphql';
import { compileQuery, isCompiledQuery, type CompiledQuery } from 'graphql-jit';
import { WeftError } from '../../platform/errors.js';
import type { ApiContext } from './api-context.js';
import { demandIntrospection, introspects } from './introspection.js';
import type { WarmQueries } from './warm-queries.js';

export interface ExecutionRequest {
  /** The operation's document and name as they were asked for. */
  readonly asked: { readonly text: string | undefined; readonly operationName: string | null };
  readonly document: DocumentNode;
  /** Undefined where the document has none of that name. */
  readonly operation: OperationDefinitionNode | undefined;
  readonly operationName: string | null;
  readonly variables: Readonly<Record<string, unknown>> | undefined;
  readonly context: ApiContext;
}

interface Operation {
  runs: number;
  readonly introspects: boolean;
  /** Null: it cannot be compiled. Undefined: not yet. */
  compiled: CompiledQuery | null | undefined;
}

/** A query that is asked once is not worth compiling. */
const COMPILE_AT_RUN = 2;

/**
 * Executes operations; queries that come again by compiled code.
 *
 * Compiled code gives the same data as graphql-js, but not always the same errors in the same order: a query that ends
 * with errors is executed once more by graphql-js, and that answer counts. A mutation must not run twice, so mutations
 * never run compiled. What is compiled lives as long as its document does, which the document store bounds.
 */
export class JitExecutor {
  readonly #operations = new WeakMap<DocumentNode, Map<string, Operation>>();

  /** @param warm told of what was compiled */
  constructor(
    private readonly schema: GraphQLSchema,
    private readonly warm: WarmQueries,
  ) {}

  async execute(request: ExecutionRequest): Promise<ExecutionResult> {
    const { asked, context, variables } = request;
    // By the name that was asked for: that there is no such operation is for graphql-js to say.
    if (request.operation === undefined) return this.#plain({ ...request, operationName: asked.operationName });
    if (request.operation.operation === OperationTypeNode.SUBSCRIPTION) return refused(noSubscriptions());
    if (request.operation.operation !== OperationTypeNode.QUERY) return this.#plain(request);
    const operation = this.#find(request);
    if (operation.introspects) return this.#introspect(request);
    if (context.hasFailed || ++operation.runs < COMPILE_AT_RUN) return this.#plain(request);
    const compiled = this.#compile(operation, request);
    if (compiled === null) return this.#plain(request);
    if (asked.text !== undefined) this.warm.learnQuery(asked.text, asked.operationName, compiled);
    const result = await compiled.query(undefined, context, variables ?? {});
    if (result.errors === undefined || result.errors.length === 0) return result;
    return this.#plain({ ...request, context: context.anew() });
  }

  async #introspect(request: ExecutionRequest): Promise<ExecutionResult> {
    try {
      demandIntrospection(request.document, request.context);
    } catch (error) {
      return refused(error);
    }
    return this.#plain(request);
  }

  async #plain({ document, operationName, variables, context }: ExecutionRequest): Promise<ExecutionResult> {
    return execute({
      schema: this.schema,
      document,
      operationName,
      variableValues: variables ?? {},
      contextValue: context,
      hideSuggestions: !context.has('read'),
    });
  }

  #find({ document, operationName }: ExecutionRequest): Operation {
    let byName = this.#operations.get(document);
    if (byName === undefined) this.#operations.set(document, (byName = new Map<string, Operation>()));
    const name = operationName ?? '';
    let found = byName.get(name);
    if (found === undefined) {
      byName.set(name, (found = { runs: 0, introspects: introspects(document), compiled: undefined }));
    }
    return found;
  }

  #compile(operation: Operation, request: ExecutionRequest): CompiledQuery | null {
    const { document, operationName } = request;
    if (operation.compiled === undefined) {
      // graphql-jit writes out what variables may hold, without end where an input holds itself: it stands still for
      // seconds until its stack is full, and then gives up.
      const isEndless = takesRecursiveInput(this.schema, request.operation);
      const compiled = isEndless ? null : compileQuery(this.schema, document, operationName ?? '');
      operation.compiled = compiled !== null && isCompiledQuery(compiled) ? compiled : null;
    }
    return operation.compiled;
  }
}

/** Whether a variable is of an input type that holds itself, by whatever way. */
function takesRecursiveInput(schema: GraphQLSchema, operation: OperationDefinitionNode | undefined): boolean {
  return (operation?.variableDefinitions ?? []).some(({ type }) => {
    const input = typeFromAST(schema, type as NamedTypeNode);
    return input !== undefined && holdsItself(getNamedType(input), new Set());
  });
}

function holdsItself(type: GraphQLNamedType, within: ReadonlySet<GraphQLNamedType>): boolean {
  if (!isInputObjectType(type)) return false;
  if (within.has(type)) return true;
  const inner = new Set([...within, type]);
  return Object.values(type.getFields()).some((field) => holdsItself(getNamedType(field.type), inner));
}

function refused(error: unknown): ExecutionResult {
  const message = error instanceof Error ? error.message : String(error);
  const originalError = error instanceof Error ? { originalError: error } : {};
  return { data: null, errors: [new GraphQLError(message, originalError)] };
}

function noSubscriptions(): WeftError {
  return new WeftError('BAD_REQUEST', 'a subscription does not fit into one answer', {
    where: 'query',
    hint: 'open a WebSocket to /graphql, or ask /graphql/stream for server-sent events',
  });
}
