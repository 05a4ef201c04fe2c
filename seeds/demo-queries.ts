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
      ... on ModelRegistration {
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
  mutation UpsertSegment($segment: SegmentInput!, $key: String!) {
    upsertSegment(segment: $segment) {
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

export const STATISTICS = /* GraphQL */ `
  query Statistics {
    statistics {
      events
      identifiers
      profiles
      merges
    }
    featureViews(first: 500) {
      edges {
        node {
          features {
            name
          }
        }
      }
    }
    models(first: 500) {
      edges {
        node {
          key
          version
          stage
        }
      }
    }
    segments(first: 500) {
      edges {
        node {
          key
          size
        }
      }
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
