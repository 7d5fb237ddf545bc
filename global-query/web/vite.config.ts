import { defineConfig, loadEnv } from "vite";

const { GOPROBE_URL = "http://localhost:8146" } = loadEnv("", ".", "GOPROBE_");

// The page is compiled into the C programs, so it is a fixed set of files with fixed names: the server tells
// versions apart by ETag, and a rebuild changes contents, not the list.
export default defineConfig({
  base: "/page/",
  build: {
    outDir: "../../proto/page/built",
    emptyOutDir: true,
    target: "es2022",
    cssTarget: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        entryFileNames: "page.js",
        chunkFileNames: "[name].js",
        assetFileNames: "page[extname]",
      },
    },
  },
  server: {
    // npm run dev: the page from here, answers from a running service.
    proxy: Object.fromEntries(
      ["/_query", "/_names", "/-/", "/status"].map((p) => [p, GOPROBE_URL]),
    ),
  },
});
