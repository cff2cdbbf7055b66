//! How long each function of a Rust file is.

use syn::visit::{self, Visit};

/// A function with a body. `lines` counts from the line of `fn` to the line of the closing brace.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// Every function of the file, methods and nested ones too; what stands inside a macro call is not seen.
pub fn functions(text: &str) -> syn::Result<Vec<Function>> {
    let mut collector = Collector { scope: Vec::new(), found: Vec::new() };
    collector.visit_file(&syn::parse_file(text)?);
    Ok(collector.found)
}

struct Collector {
    scope: Vec<String>,
    found: Vec<Function>,
}

impl Collector {
    fn record(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let line = signature.fn_token.span.start().line;
        let last = body.brace_token.span.close().end().line;
        let name = match self.scope.last() {
            Some(owner) => format!("{owner}::{}", signature.ident),
            None => signature.ident.to_string(),
        };
        self.found.push(Function { name, line, lines: last - line + 1 });
    }

    fn within(&mut self, owner: String, visit: impl FnOnce(&mut Self)) {
        self.scope.push(owner);
        visit(self);
        self.scope.pop();
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.record(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.record(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.record(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let owner = match item.self_ty.as_ref() {
            syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
            _ => None,
        };
        self.within(owner.unwrap_or_else(|| "impl".into()), |this| visit::visit_item_impl(this, item));
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.within(item.ident.to_string(), |this| visit::visit_item_trait(this, item));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.within(item.ident.to_string(), |this| visit::visit_item_mod(this, item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_owners_are_counted() {
        let text = "/// docs are not counted\n#[inline]\nfn one() {}\n\nimpl Thing {\n    fn three(\n        &self,\n    ) {\n    }\n}\n\
                    trait T {\n    fn none(&self);\n    fn two(&self) {\n    }\n}\nmod inner {\n    fn f() {\n        fn g() {}\n    }\n}\n";
        let found: Vec<_> = functions(text).unwrap().into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        let expected =
            [("one", 3, 1), ("Thing::three", 6, 4), ("T::two", 13, 2), ("inner::f", 17, 3), ("inner::g", 18, 1)];
        assert_eq!(found, expected.map(|(name, line, lines)| (name.to_string(), line, lines)));
    }

    #[test]
    fn text_that_is_not_rust_is_an_error() {
        assert!(functions("fn {").is_err());
    }
}
