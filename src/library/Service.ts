/** What the service `Backy` offers: the operations on one repository, each with what may go wrong by name. */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { ConfigInvalid, ConfigMissing } from "../config/ConfigError.ts"
import type { RepositoryConfig } from "../config/RepositoryConfig.ts"
import type { Schedule } from "../domain/JobConfig.ts"
import type { Revision } from "../domain/Revision.ts"
import type { RevisionId } from "../domain/RevisionId.ts"
import type { SourceConfig } from "../domain/SourceConfig.ts"
import type * as Backup from "../operation/backup.ts"
import type { DiffError, DiffReport } from "../operation/diff.ts"
import type { DistrustError } from "../operation/distrust.ts"
import type * as Expire from "../operation/expire.ts"
import type { ForgetError } from "../operation/forget.ts"
import type { InitError, InitReport } from "../operation/init.ts"
import type { OutputClosed } from "../operation/Output.ts"
import type { PurgeError, PurgeReport } from "../operation/purge.ts"
import type * as Restore from "../operation/restore.ts"
import type { RestoreStreamError } from "../operation/restoreStream.ts"
import type { StatusError, StatusReport } from "../operation/status.ts"
import type { TagsError } from "../operation/tags.ts"
import type { VerifyError, VerifyReport } from "../operation/verify.ts"
import type { IoError } from "../platform/IoError.ts"
import type { SourceUnsupported } from "../source/registry.ts"
import type { TagInvalid } from "./TagInvalid.ts"

/** Why the repository's config cannot be used. */
export type ConfigError = ConfigMissing | ConfigInvalid | IoError

/** Why no revision was made. */
export type BackupError = Backup.BackupError | TagInvalid | SourceUnsupported | ConfigError

/** Why retention cannot be applied. */
export type ExpireError = Expire.ExpireError | ConfigError

/** Why an image is not, or not wholly, restored to a path. */
export type RestoreToError = Exclude<Restore.RestoreError, OutputClosed>

/** Why revisions do not get these tags. */
export type TagError = TagsError | TagInvalid | ConfigError

/** Why tags are not taken away. */
export type UntagError = Exclude<TagsError, { readonly _tag: "TagsUnknown" }>

/** What operations that take a lock have in common. */
export interface Waiting {
  /** How long to wait for another process, or another fiber, that holds the repository's lock. Default: not at all. */
  readonly wait?: Duration.DurationInput
}

/**
 * One repository. Revisions are named by a spec: an id, `latest`, `first`, a number (0 is the newest), a tag, `all`,
 * `clean`, `a..b`, … (docs/cli.md). Every method may be called at any time and from several fibers: the locks are the
 * repository's own, and hold against other processes, too.
 */
export interface Service {
  /** Absolute path of the repository. */
  readonly directory: string

  /**
   * The repository's config as it is now: source, schedule, settings. Fails with `ConfigMissing`, `ConfigInvalid`,
   * `IoError`.
   */
  readonly config: Effect.Effect<RepositoryConfig, ConfigError>

  /**
   * Makes the repository: its directory, if it is missing, and its config. Without a schedule the one of `backy init`:
   * 9 days, 5 weeks, 4 months. Fails with `RepositoryExists`, `IoError`.
   */
  readonly init: <Source extends SourceConfig>(options: {
    readonly source: Source
    readonly schedule?: Schedule
  }) => Effect.Effect<InitReport, InitError>

  /**
   * Makes a revision of the source that the config names, as the config says (backend, rotation, free-space floor).
   * Succeeds if and only if a new, complete, durable and verified revision exists; otherwise nothing older was harmed,
   * and the next backup needs no hand. Interruption is safe at any point. Fails with `BackupError`.
   */
  readonly backup: (
    options: Waiting & {
      readonly tags: ReadonlyArray<string>
      /** Takes tags that the schedule does not know. Default: false. */
      readonly force?: boolean
      /** Takes a source that has lost its content. Default: false. */
      readonly acceptShrink?: boolean
    }
  ) => Effect.Effect<Backup.BackupReport, BackupError>

  /**
   * Restores an image to a file, which appears only when it is whole, or to a block device; every byte checked against
   * its hash and durable. Refuses what holds something unless `overwrite` is set. Fails with `RestoreToError`.
   */
  readonly restoreTo: (
    path: string,
    options?: Waiting & {
      /** Default: `latest`. */
      readonly revision?: string
      /** Overwrites a file or device that holds something. Default: false. */
      readonly overwrite?: boolean
      /** Leaves zeros where chunks are lost, writes the rest and fails with `RestoreIncomplete`. Default: false. */
      readonly salvage?: boolean
    }
  ) => Effect.Effect<Restore.RestoreReport, RestoreToError>

  /**
   * An image as bytes, in order and without gaps, every byte checked before it is given on. A stream that ends without
   * a failure was whole. Holds the repository's lock while it runs. Fails with `RestoreStreamError`.
   */
  readonly restoreStream: (
    options?: Waiting & {
      /** Default: `latest`. */
      readonly revision?: string
      /** Gives zeros where chunks are lost, and fails with `RestoreIncomplete` behind the last byte. Default: false. */
      readonly salvage?: boolean
    }
  ) => Stream.Stream<Uint8Array, RestoreStreamError>

  /**
   * The revisions, oldest first, and those that cannot be read. Without a spec all of them, incomplete ones too. Takes
   * no lock. Fails with `StatusError`.
   */
  readonly status: (options?: { readonly revisions?: string }) => Effect.Effect<StatusReport, StatusError>

  /**
   * Reads what is stored again and checks it against its hashes: whole revisions become verified, damaged ones
   * distrusted. Default: all that are `clean`. Deletes nothing. Fails with `VerifyError`. Its `DamageFound` has the
   * report.
   */
  readonly verify: (
    options?: Waiting & { readonly revisions?: string }
  ) => Effect.Effect<VerifyReport, VerifyError>

  /** Applies the retention of the config's schedule; never removes the newest trusted revision. Fails with `ExpireError`. */
  readonly expire: (
    options?: Waiting & {
      /** Only tells what would be done. Default: false. */
      readonly dryRun?: boolean
      /** Also takes tags away that no schedule knows. Default: false. */
      readonly unknownTags?: boolean
    }
  ) => Effect.Effect<Expire.ExpireReport, ExpireError>

  /**
   * Removes revisions, all or none; their chunks go with the next `purge`. `force` removes the newest trusted one, too.
   * Fails with `ForgetError`.
   */
  readonly forget: (
    revisions: string,
    options?: Waiting & { readonly force?: boolean }
  ) => Effect.Effect<ReadonlyArray<RevisionId>, ForgetError>

  /** Removes the chunks that no revision names any more. Sizes in bytes. Fails with `PurgeError`. */
  readonly purge: (
    options?: Waiting & {
      /** Only tells what would be removed. Default: false. */
      readonly dryRun?: boolean
    }
  ) => Effect.Effect<PurgeReport, PurgeError>

  /** Changes tags; each method gives back the revisions that are different now. */
  readonly tags: {
    /** Replaces all tags. `force` takes tags that the schedule does not know. Fails with `TagError`. */
    readonly set: TagWith
    /** Adds tags. `force` takes tags that the schedule does not know. Fails with `TagError`. */
    readonly add: TagWith
    /** Takes tags away. Fails with `UntagError`. */
    readonly remove: (
      revisions: string,
      tags: ReadonlyArray<string>,
      options?: Waiting
    ) => Effect.Effect<ReadonlyArray<Revision>, UntagError>
  }

  /**
   * Distrusts revisions until `verify` has read them: nothing builds on them, and they do not count for retention. Gives
   * back those that were trusted before. Fails with `DistrustError`.
   */
  readonly distrust: (
    revisions: string,
    options?: Waiting & {
      /** Only revisions made at or after this instant. */
      readonly from?: DateTime.Utc
      /** Only revisions made before this instant. */
      readonly until?: DateTime.Utc
    }
  ) => Effect.Effect<ReadonlyArray<Revision>, DistrustError>

  /** The byte ranges in which two revisions differ, to the chunk. Reads no chunk. Fails with `DiffError`. */
  readonly diff: (from: string, to: string) => Effect.Effect<DiffReport, DiffError>
}

type TagWith = (
  revisions: string,
  tags: ReadonlyArray<string>,
  options?: Waiting & { readonly force?: boolean }
) => Effect.Effect<ReadonlyArray<Revision>, TagError>
