-- Portal tokens: what a customer's own page may read. The signed text is not kept.

CREATE TABLE portal_tokens (
    namespace      TEXT COLLATE "binary" NOT NULL,
    id             TEXT COLLATE "binary" NOT NULL,
    subject        TEXT COLLATE "binary" NOT NULL,
    meters         TEXT,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    invalidated_at BIGINT,
    PRIMARY KEY (namespace, id)
);
CREATE INDEX portal_tokens_by_age ON portal_tokens (namespace, created_at, id);
CREATE INDEX portal_tokens_by_expiry ON portal_tokens (namespace, expires_at);

-- What all servers on this store share and nobody else may know.
CREATE TABLE secrets (
    id         TEXT COLLATE "binary" NOT NULL,
    value      TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (id)
);
