-- Writes that may be sent again: whose key it is, which request it stands for, how far that is, and what was answered.

CREATE TABLE idempotency_keys (
    namespace   TEXT COLLATE "binary" NOT NULL,
    actor       TEXT COLLATE "binary" NOT NULL,
    id          TEXT COLLATE "binary" NOT NULL,
    fingerprint TEXT NOT NULL,
    process     TEXT NOT NULL,
    attempt     TEXT NOT NULL,
    phase       TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL,
    code        BIGINT,
    labels      TEXT,
    body        TEXT,
    PRIMARY KEY (namespace, actor, id)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
