-- Namespaces that the operator made. `default` is always there and has no row.

CREATE TABLE namespaces (
    name       TEXT COLLATE "binary" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name)
);

-- Before this, a namespace began with its first key.
INSERT INTO namespaces (name, created_at)
    SELECT namespace, MIN(created_at) FROM api_keys WHERE namespace <> 'default' GROUP BY namespace;
