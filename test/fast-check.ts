import fc from '../node_modules/fast-check/lib/fast-check.js';

/*
 * What `fast-check` is to the tests (vitest.config.ts): the library with a fixed seed, so that every
 * run asks the same. `FC_SEED=n` asks something else.
 */
fc.configureGlobal({ seed: Number(process.env['FC_SEED'] ?? 1) });

// biome-ignore lint/style/noDefaultExport: as the library has it
export default fc;
