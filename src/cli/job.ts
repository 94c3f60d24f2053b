import * as Effect from "effect/Effect"
import * as Config from "../config/Config.ts"
import { Repository } from "../repository/Repository.ts"

/** The repository's own config. Fails with `ConfigMissing`, `ConfigInvalid` or `IoError`. */
export const job = Effect.flatMap(Repository, ({ directory }) => Config.loadRepository(directory))
