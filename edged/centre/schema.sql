-- The centre's tables. Applied where a database does not have this very text yet: each statement may be applied again. A
-- city's own dashboards read the views at the end (configs/city/README.md describes them); the tables behind them may change.

-- The SHA-256 of the text that was applied last.
CREATE TABLE IF NOT EXISTS schema_version (
  sha256 text NOT NULL
);

-- How far the history of each hall and epoch is here without a gap (upto), and the highest number that came at all (seen).
CREATE TABLE IF NOT EXISTS cursors (
  hall     text   NOT NULL,
  epoch    integer NOT NULL,
  base     bigint NOT NULL DEFAULT 0,  -- what an earlier centre had acknowledged, and this one never saw
  upto     bigint NOT NULL DEFAULT 0,
  seen     bigint NOT NULL DEFAULT 0,
  heard_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (hall, epoch)
);

CREATE TABLE IF NOT EXISTS events (
  hall        text    NOT NULL,
  epoch       integer NOT NULL,
  seq         bigint  NOT NULL,
  previous    bigint  NOT NULL,
  at          timestamptz NOT NULL,
  kind        text    NOT NULL,
  subject     text    NOT NULL,
  historical  boolean NOT NULL,
  data        jsonb   NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (hall, epoch, seq, at)
) PARTITION BY RANGE (at);
CREATE INDEX IF NOT EXISTS events_by_kind ON events (kind, at);
-- Of clocks that were never set, and of months for which there was no table yet.
CREATE TABLE IF NOT EXISTS events_other PARTITION OF events DEFAULT;

-- The retained messages of every hall: the newest payload of each topic.
CREATE TABLE IF NOT EXISTS pictures (
  topic   text PRIMARY KEY,
  hall    text  NOT NULL,
  payload jsonb NOT NULL,
  at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS pictures_by_hall ON pictures (hall);

-- What halls, areas, services and windows are called: from their hall.toml (edged centre enrol).
CREATE TABLE IF NOT EXISTS halls (
  hall       text PRIMARY KEY,
  name       text NOT NULL,
  group_name text
);
CREATE TABLE IF NOT EXISTS names (
  hall    text NOT NULL,
  kind    text NOT NULL,  -- area, service, window
  id      text NOT NULL,
  name    text NOT NULL,
  name_en text NOT NULL,
  PRIMARY KEY (hall, kind, id)
);

-- Rollouts: one row each, one for each hall of it.
CREATE TABLE IF NOT EXISTS rollouts (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  version    bigint NOT NULL,
  sha256     text   NOT NULL,
  envelope   bytea  NOT NULL,
  settle_s   integer NOT NULL,
  max_failed integer NOT NULL,
  state      text   NOT NULL,  -- running, halted, done, aborting, aborted
  reason     text   NOT NULL DEFAULT '',
  wave       integer NOT NULL DEFAULT 0,
  wave_at    timestamptz,
  made_at    timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS rollout_halls (
  rollout bigint NOT NULL REFERENCES rollouts (id),
  hall    text   NOT NULL,
  wave    integer NOT NULL,
  state   text   NOT NULL DEFAULT 'waiting',  -- waiting, pushed, applied, failed, taken-back
  reason  text   NOT NULL DEFAULT '',
  at      timestamptz,
  PRIMARY KEY (rollout, hall)
);

-- ---- Views: one line of the contract with a city's own dashboards each ----

CREATE OR REPLACE VIEW visits AS
  SELECT hall, at, at AT TIME ZONE 'Asia/Shanghai' AS local_at, subject AS number, data->>'window' AS window_id,
         data->>'area' AS area, data->>'service' AS service, data->>'priority' AS priority,
         (data->>'wait_s')::numeric AS wait_s
  FROM events WHERE kind = 'ticket.called' AND data->>'wait_s' IS NOT NULL;

CREATE OR REPLACE VIEW services_given AS
  SELECT hall, at, at AT TIME ZONE 'Asia/Shanghai' AS local_at, subject AS number, data->>'window' AS window_id,
         data->>'area' AS area, data->>'service' AS service, data->>'outcome' AS outcome,
         (data->>'service_s')::numeric AS service_s
  FROM events WHERE kind = 'ticket.finished';

CREATE OR REPLACE VIEW plus_one AS
  SELECT hall, at, at AT TIME ZONE 'Asia/Shanghai' AS local_at, subject AS window_id, data->>'area' AS area, kind,
         (data->>'open_s')::numeric AS open_s
  FROM events WHERE kind IN ('tidal.opened', 'tidal.released');

CREATE OR REPLACE VIEW case_steps AS
  SELECT hall, at, at AT TIME ZONE 'Asia/Shanghai' AS local_at, subject AS case_id, kind,
         (data->>'in_time')::integer AS in_time, (data->>'on_time')::integer AS on_time,
         (data->>'doable')::integer AS doable, (data->>'level')::integer AS level
  FROM events WHERE kind IN ('case.opened', 'case.acknowledged', 'case.closed', 'case.overdue', 'case.rated');

CREATE OR REPLACE VIEW ratings AS
  SELECT hall, at, at AT TIME ZONE 'Asia/Shanghai' AS local_at, data->>'area' AS area, data->>'service' AS service,
         data->>'window' AS window_id, (data->>'level')::integer AS level
  FROM events WHERE kind = 'rating.given';

CREATE OR REPLACE VIEW hall_now AS
  SELECT coalesce(h.hall, s.hall, c.hall) AS hall, h.name, coalesce(h.group_name, s.payload->>'group') AS group_name,
         s.payload->>'state' AS state, s.payload->>'since' AS since, s.payload->'reasons' AS reasons,
         l.payload = '0'::jsonb AS line_cut,
         r.payload->>'state' AS policy_state, (r.payload->'desired'->>'version')::bigint AS desired,
         (r.payload->'applied'->>'version')::bigint AS applied, r.payload->'reason' AS refusal,
         a.payload->'standing' AS alarms, c.epoch, c.upto, c.seen, c.seen - c.upto AS open_events, c.heard_at
  FROM (SELECT hall FROM halls UNION SELECT hall FROM pictures UNION SELECT hall FROM cursors) every_hall (hall)
  LEFT JOIN halls h USING (hall)
  LEFT JOIN pictures s ON s.topic = 'hall/' || every_hall.hall || '/status'
  LEFT JOIN pictures l ON l.topic = 'hall/' || every_hall.hall || '/line'
  LEFT JOIN pictures r ON r.topic = 'hall/' || every_hall.hall || '/policy/report'
  LEFT JOIN pictures a ON a.topic = 'hall/' || every_hall.hall || '/state/alarms'
  LEFT JOIN LATERAL (
    SELECT * FROM cursors WHERE cursors.hall = every_hall.hall ORDER BY epoch DESC LIMIT 1
  ) c ON true;
