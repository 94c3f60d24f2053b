import type { JobStatus } from "../../src/domain/JobStatus.ts"

/** A job that has nothing to say, with some changes. */
export const status = (changes: Partial<JobStatus>): JobStatus => ({
  job: "web01",
  sla: "OK",
  sla_overdue: 0,
  status: "waiting for deadline",
  last_time: null,
  last_tags: null,
  last_duration: null,
  next_time: null,
  next_tags: null,
  manual_tags: "",
  quarantine_reports: 0,
  configured_since: null,
  running_since: null,
  progress: null,
  failures: 0,
  problem: null,
  busy_since: null,
  stalled: null,
  purge_blocked: null,
  purge_blocked_since: null,
  broken_revisions: 0,
  reload_refused: null,
  state_trouble: null,
  ...changes
})
