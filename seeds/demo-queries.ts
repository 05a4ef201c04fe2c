/** What the demo asks of the server. Kept apart so that a test can hold it against the schema. */
export const APPLY_FEATURES = /* GraphQL */ `
  mutation ApplyFeatures($yaml: String!) {
    applyFeatures(yaml: $yaml) {
      __typename
      ... on Failure {
        message
        where
        hint
      }
    }
  }
`;

export const REGISTER_MODEL = /* GraphQL */ `
  mutation RegisterModel($onnx: String!, $manifest: String!) {
    registerModel(onnx: $onnx, manifest: $manifest) {
      __typename
      ... on RegisteredModel {
        model {
          key
          version
        }
      }
      ... on Failure {
        message
        where
        hint
      }
    }
  }
`;

export const PROMOTE_MODEL = /* GraphQL */ `
  mutation PromoteModel($key: String!, $version: Int!) {
    promoteModel(key: $key, version: $version) {
      __typename
      ... on Failure {
        message
        where
        hint
      }
    }
  }
`;

export const UPSERT_SEGMENT = /* GraphQL */ `
  mutation UpsertSegment($input: SegmentInput!, $key: String!) {
    upsertSegment(input: $input) {
      __typename
      ... on Failure {
        message
        where
        hint
      }
    }
    activateSegment(key: $key) {
      __typename
      ... on Failure {
        message
        where
        hint
      }
    }
  }
`;

export const CREATE_SOURCE = /* GraphQL */ `
  mutation CreateSource($key: String!, $name: String!) {
    createSource(key: $key, name: $name, kind: HTTP) {
      __typename
      ... on Failure {
        message
        where
        hint
      }
    }
  }
`;

export const CREATE_KEY = /* GraphQL */ `
  mutation CreateApiKey($name: String!, $scopes: [Scope!]!, $source: String) {
    createApiKey(name: $name, scopes: $scopes, source: $source) {
      __typename
      ... on CreatedApiKey {
        secret
      }
      ... on Failure {
        message
        where
        hint
      }
    }
  }
`;

export const STATISTICS = /* GraphQL */ `
  query Statistics {
    statistics {
      events
      identifiers
      profiles
      merges
    }
    featureViews {
      name
      features {
        name
      }
    }
    models {
      key
      version
      stage
    }
    segments {
      key
      size
    }
  }
`;

export const PROFILES = /* GraphQL */ `
  query Profiles($after: String) {
    profiles(first: 500, after: $after) {
      edges {
        node {
          id
          identifiers {
            namespace
            value
          }
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
`;

export const CHANGES = /* GraphQL */ `
  subscription Changes {
    segmentChanges {
      cursor
      kind
      at
      segment {
        key
      }
      profile {
        id
        identifiers {
          namespace
          value
        }
      }
      cause {
        kind
      }
    }
  }
`;
