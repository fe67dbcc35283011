import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SRC = join(ROOT, 'src');
const FILE_LINES_MAX = 500;
const FUNCTION_LINES_MAX = 70;
const LINE_CHARACTERS_MAX = 100;

interface SourceFile {
  /** Path below src/, with `/`. */
  readonly path: string;
  readonly folder: string;
  readonly text: string;
  readonly ast: ts.SourceFile;
  readonly isTest: boolean;
}

const files = sourceFiles();
const production = files.filter((file) => !file.isTest);

describe('ARCHITECTURE.md, "Who may import whom"', () => {
  const table = importTable();

  test('every folder of src has a row, and every row a folder', () => {
    const folders = readdirSync(SRC, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
    expect([...table.keys()].sort()).toEqual(folders.sort());
  });

  test('production code imports only what its row allows, through index.ts', () => {
    const breaches = production.flatMap((file) =>
      imports(file).flatMap((target) => {
        const folder = target.split('/')[0] as string;
        if (folder === file.folder) return [];
        const allowed = table.get(file.folder)?.includes(folder) ?? false;
        const entered = target === `${folder}/index.ts`;
        return allowed && entered ? [] : [`${file.path} imports ${target}`];
      }),
    );
    expect(breaches).toEqual([]);
  });

  test('production code does not import testing folders', () => {
    const breaches = production.flatMap((file) =>
      imports(file)
        .filter((target) => target.includes('/testing/') || target.endsWith('.test.ts'))
        .map((target) => `${file.path} imports ${target}`),
    );
    expect(breaches).toEqual([]);
  });
});

test('no import cycles between files', () => {
  const graph = new Map(production.map((file) => [file.path, runtimeImports(file)]));
  expect(findCycle(graph)).toBeNull();
});

test('every folder is entered through an index.ts whose header tells its story', () => {
  const folders = new Set(production.map((file) => file.folder));
  folders.delete('cli');
  const silent = [...folders].filter((folder) => {
    const index = production.find((file) => file.path === `${folder}/index.ts`);
    return index === undefined || !index.text.startsWith('/**');
  });
  expect(silent).toEqual([]);
});

test(`no file has more than ${FILE_LINES_MAX} lines`, () => {
  const long = files
    .map((file) => ({ path: file.path, lines: file.text.split('\n').length - 1 }))
    .filter((file) => file.lines > FILE_LINES_MAX);
  expect(long).toEqual([]);
});

test(`no line has more than ${LINE_CHARACTERS_MAX} characters`, () => {
  const long = files.flatMap((file) =>
    file.text
      .split('\n')
      .map((line, index) => ({ at: `${file.path}:${index + 1}`, characters: [...line].length }))
      .filter((line) => line.characters > LINE_CHARACTERS_MAX),
  );
  expect(long).toEqual([]);
});

test(`no function of production code has more than ${FUNCTION_LINES_MAX} lines`, () => {
  const long = production.flatMap((file) => functions(file.ast)).filter(isLong);
  expect(long).toEqual([]);
});

describe('raft and kv are pure', () => {
  const pure = production.filter((file) => file.folder === 'raft' || file.folder === 'kv');
  const forbidden =
    /\b(?:async|await|Promise|setTimeout|setInterval|setImmediate|queueMicrotask|Date|performance|process|Buffer|crypto|globalThis|Intl)\b|Math\.random|node:|toLocale|localeCompare/;

  test('they name no clock, timer, promise, randomness or Node module', () => {
    const breaches = pure.flatMap((file) =>
      codeTokens(file.ast)
        .filter((token) => forbidden.test(token.text))
        .map((token) => `${file.path}:${token.line} ${token.text}`),
    );
    expect(breaches).toEqual([]);
  });

  test('they compile without Node types', () => {
    const config = ts.readConfigFile(join(ROOT, 'tsconfig.pure.json'), ts.sys.readFile);
    const parsed = ts.parseJsonConfigFileContent(config.config, ts.sys, ROOT);
    const program = ts.createProgram(parsed.fileNames, parsed.options);
    const errors = ts
      .getPreEmitDiagnostics(program)
      .map(
        (d) => `${d.file?.fileName ?? ''}: ${ts.flattenDiagnosticMessageText(d.messageText, ' ')}`,
      );
    expect(errors).toEqual([]);
  });
});

function sourceFiles(): SourceFile[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map((path) => {
      const text = readFileSync(join(SRC, path), 'utf8');
      const slashed = path.split(sep).join('/');
      return {
        path: slashed,
        folder: slashed.split('/')[0] as string,
        text,
        ast: ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true),
        isTest:
          slashed.endsWith('.test.ts') ||
          ['/testing/', '/paper/', '/scenarios/'].some((part) => slashed.includes(part)),
      };
    });
}

function importTable(): Map<string, readonly string[]> {
  const text = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8');
  const table = /<!-- import-table -->\n(?<rows>[\s\S]*?)<!-- \/import-table -->/.exec(text);
  const rows = (table?.groups?.['rows'] ?? '').trim().split('\n').slice(2);
  return new Map(
    rows.map((row) => {
      const [, folder = '', allowed = ''] = row.split('|').map((cell) => cell.trim());
      return [folder, allowed === '–' ? [] : allowed.split(/\s+/)];
    }),
  );
}

/** Relative imports of a file, as paths below src/. */
function imports(file: SourceFile): string[] {
  return importNodes(file).map((node) => targetOf(file, node));
}

function runtimeImports(file: SourceFile): string[] {
  return importNodes(file)
    .filter((node) => !isTypeOnly(node))
    .map((node) => targetOf(file, node));
}

type ImportNode = ts.ImportDeclaration | ts.ExportDeclaration;

function importNodes(file: SourceFile): ImportNode[] {
  return file.ast.statements.filter(
    (node): node is ImportNode =>
      (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) &&
      node.moduleSpecifier !== undefined &&
      ts.isStringLiteral(node.moduleSpecifier) &&
      node.moduleSpecifier.text.startsWith('.'),
  );
}

function isTypeOnly(node: ImportNode): boolean {
  if (ts.isExportDeclaration(node)) return node.isTypeOnly;
  return node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
}

function targetOf(file: SourceFile, node: ImportNode): string {
  const specifier = (node.moduleSpecifier as ts.StringLiteral).text;
  const absolute = resolve(SRC, dirname(file.path), specifier);
  return relative(SRC, absolute).split(sep).join('/');
}

function findCycle(graph: ReadonlyMap<string, readonly string[]>): string[] | null {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (node: string): string[] | null => {
    const at = path.indexOf(node);
    if (at >= 0) return [...path.slice(at), node];
    if (done.has(node)) return null;
    path.push(node);
    for (const next of graph.get(node) ?? []) {
      const cycle = visit(next);
      if (cycle !== null) return cycle;
    }
    path.pop();
    done.add(node);
    return null;
  };
  for (const node of graph.keys()) {
    const cycle = visit(node);
    if (cycle !== null) return cycle;
  }
  return null;
}

interface FunctionSize {
  readonly at: string;
  readonly lines: number;
}

function isLong(size: FunctionSize): boolean {
  return size.lines > FUNCTION_LINES_MAX;
}

function functions(ast: ts.SourceFile): FunctionSize[] {
  const sizes: FunctionSize[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const start = ast.getLineAndCharacterOfPosition(node.getStart()).line;
      const end = ast.getLineAndCharacterOfPosition(node.getEnd()).line;
      sizes.push({ at: `${ast.fileName}:${start + 1}`, lines: end - start + 1 });
    }
    ts.forEachChild(node, visit);
  };
  visit(ast);
  return sizes;
}

/** Identifiers, keywords and strings of a file: everything but comments. */
function codeTokens(ast: ts.SourceFile): { text: string; line: number }[] {
  const tokens: { text: string; line: number }[] = [];
  const visit = (node: ts.Node): void => {
    const isName = ts.isIdentifier(node) || ts.isPropertyAccessExpression(node);
    const isModule = ts.isStringLiteral(node) && ts.isImportDeclaration(node.parent);
    if (
      isName ||
      isModule ||
      ts.isAwaitExpression(node) ||
      node.kind === ts.SyntaxKind.AsyncKeyword
    ) {
      tokens.push({
        text: node.getText(),
        line: ast.getLineAndCharacterOfPosition(node.getStart()).line + 1,
      });
    }
    ts.forEachChild(node, visit);
  };
  visit(ast);
  return tokens;
}
