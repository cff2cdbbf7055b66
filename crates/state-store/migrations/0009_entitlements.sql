-- Entitlements: what customers may use of features, the grants that usage is taken from, and the resets that somebody asked for.

CREATE TABLE entitlements (
    namespace         TEXT COLLATE "binary" NOT NULL,
    id                TEXT COLLATE "binary" NOT NULL,
    customer_id       TEXT COLLATE "binary" NOT NULL,
    feature_id        TEXT COLLATE "binary" NOT NULL,
    feature_key       TEXT COLLATE "binary" NOT NULL,
    kind              TEXT COLLATE "binary" NOT NULL,
    config            TEXT,
    is_soft_limit     BIGINT NOT NULL,
    preserves_overage BIGINT NOT NULL,
    issue_amount      TEXT,
    issue_priority    BIGINT NOT NULL,
    measured_from     BIGINT,
    period_interval   TEXT,
    period_anchor     BIGINT,
    metadata          TEXT NOT NULL,
    annotations       TEXT NOT NULL,
    active_from       BIGINT NOT NULL,
    active_to         BIGINT,
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    deleted_at        BIGINT,
    PRIMARY KEY (namespace, id)
);
CREATE INDEX entitlements_by_customer ON entitlements (namespace, customer_id, feature_key);
CREATE INDEX entitlements_by_feature ON entitlements (namespace, feature_id);
CREATE INDEX entitlements_by_age ON entitlements (namespace, created_at, id);

CREATE TABLE grants (
    namespace           TEXT COLLATE "binary" NOT NULL,
    id                  TEXT COLLATE "binary" NOT NULL,
    entitlement_id      TEXT COLLATE "binary" NOT NULL,
    amount              TEXT NOT NULL,
    priority            BIGINT NOT NULL,
    effective_at        BIGINT NOT NULL,
    expiration_unit     TEXT,
    expiration_count    BIGINT NOT NULL,
    min_rollover        TEXT NOT NULL,
    max_rollover        TEXT NOT NULL,
    recurrence_interval TEXT,
    recurrence_anchor   BIGINT,
    metadata            TEXT NOT NULL,
    annotations         TEXT NOT NULL,
    created_at          BIGINT NOT NULL,
    updated_at          BIGINT NOT NULL,
    voided_at           BIGINT,
    deleted_at          BIGINT,
    PRIMARY KEY (namespace, id)
);
CREATE INDEX grants_by_entitlement ON grants (namespace, entitlement_id, created_at, id);
CREATE INDEX grants_by_age ON grants (namespace, created_at, id);

CREATE TABLE entitlement_resets (
    namespace         TEXT COLLATE "binary" NOT NULL,
    id                TEXT COLLATE "binary" NOT NULL,
    at                BIGINT NOT NULL,
    period_interval   TEXT NOT NULL,
    period_anchor     BIGINT NOT NULL,
    preserves_overage BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    PRIMARY KEY (namespace, id, at)
);

-- Amounts that are held back for usage whose size is not known yet.
CREATE TABLE reservations (
    namespace      TEXT COLLATE "binary" NOT NULL,
    id             TEXT COLLATE "binary" NOT NULL,
    entitlement_id TEXT COLLATE "binary" NOT NULL,
    amount         TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    released_at    BIGINT,
    committed_at   BIGINT,
    event_source   TEXT,
    event_id       TEXT,
    PRIMARY KEY (namespace, id)
);
CREATE INDEX reservations_by_end ON reservations (expires_at);
CREATE INDEX reservations_open ON reservations (expires_at) WHERE released_at IS NULL AND committed_at IS NULL;
