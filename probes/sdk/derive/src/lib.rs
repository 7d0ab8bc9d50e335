//! `#[derive(Schema)]`: what a type of settings may contain, written from its fields, their doc comments and the
//! attributes of serde. The crate `farrier-probe` exports it.

mod attributes;
mod names;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{Data, DeriveInput, Error, Field, Fields, Ident, Result, Token, Type, Variant};

use attributes::{Fallback, OfField, OfType, description};

/// Implements `farrier_probe::Schema` for a struct of settings or an enum of words.
///
/// Reads doc comments (the descriptions), and of serde's attributes `default`, `deny_unknown_fields`, `rename`,
/// `rename_all`, `alias` and `skip`. `#[setting(…)]` says what no type says: `default = "/"` (the field's default; the
/// macro then implements `Default`, too), `minimum = 1`, `maximum = 10`, `values("http", "https")`, `anything`; and on a
/// type without serde, `deny_unknown_fields`.
#[proc_macro_derive(Schema, attributes(setting, serde))]
pub fn schema(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = syn::parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let of_type = OfType::read(&input.attrs)?;
    let name = &input.ident;
    let (shape, default) = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => table(name, &of_type, fields.named.iter())?,
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                let inner = &fields.unnamed[0].ty;
                (quote! { <#inner as ::farrier_probe::Schema>::SHAPE }, TokenStream::new())
            }
            _ => return Err(unknown(name.span())),
        },
        Data::Enum(data) if !of_type.is_tagged => (words(&of_type, &data.variants)?, TokenStream::new()),
        _ => return Err(unknown(name.span())),
    };
    let (of_impl, of_name, clause) = input.generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #of_impl ::farrier_probe::Schema for #name #of_name #clause {
            const SHAPE: ::farrier_probe::schema::Shape = #shape;
        }
        #default
    })
}

fn unknown(at: Span) -> Error {
    Error::new(
        at,
        "a schema can be derived for a struct with named fields, a struct with one unnamed field, and an enum of words; for \
         other types, implement `farrier_probe::Schema`",
    )
}

/// The shape of a struct, and its `Default` if its fields name defaults.
fn table<'f>(
    name: &Ident,
    of_type: &OfType,
    fields: impl Iterator<Item = &'f Field>,
) -> Result<(TokenStream, TokenStream)> {
    let fields: Vec<(&Field, OfField)> =
        fields.map(|field| Ok((field, OfField::read(&field.attrs)?))).collect::<Result<_>>()?;
    let names_defaults = fields.iter().any(|(_, of_field)| of_field.default.is_some());
    if names_defaults && !of_type.has_default {
        let message = "`#[setting(default = …)]` needs `#[serde(default)]` on the type: the macro implements its `Default`";
        return Err(Error::new(name.span(), message));
    }
    let told = fields.iter().filter(|(_, of_field)| !of_field.is_skipped);
    let shapes: Vec<TokenStream> =
        told.flat_map(|(field, of_field)| self::field(field, of_field, of_type, names_defaults)).collect();
    let is_closed = of_type.is_closed;
    let shape = quote! {
        ::farrier_probe::schema::Shape::Table { fields: &[#(#shapes),*], is_closed: #is_closed }
    };
    if !names_defaults {
        return Ok((shape, TokenStream::new()));
    }
    let defaults = fields.iter().map(|(field, of_field)| {
        let ident = &field.ident;
        match &of_field.default {
            // Text becomes whatever holds it; of a number, the compiler would not know the type.
            Some(Fallback { value, json }) if json.starts_with('"') => {
                quote! { #ident: ::core::convert::Into::into(#value) }
            }
            Some(Fallback { value, .. }) => quote! { #ident: #value },
            None => quote! { #ident: ::core::default::Default::default() },
        }
    });
    let default = quote! {
        #[automatically_derived]
        impl ::core::default::Default for #name {
            fn default() -> Self {
                Self { #(#defaults),* }
            }
        }
    };
    Ok((shape, default))
}

/// One field under its name, and under each other name that serde accepts. `defaults_are_derived` if each field without a
/// default of its own has its type's.
fn field(
    field: &Field,
    of_field: &OfField,
    of_type: &OfType,
    defaults_are_derived: bool,
) -> Vec<TokenStream> {
    let written = field.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    let written = written.strip_prefix("r#").unwrap_or(&written);
    let name = of_field.rename.clone().unwrap_or_else(|| of_type.case.of_field(written));
    let has_default = of_type.has_default || of_field.has_default;
    let is_required = !has_default && !is_option(&field.ty) && of_field.aliases.is_empty();
    let kind = &field.ty;
    let shape = if of_field.is_anything {
        quote! { ::farrier_probe::schema::Shape::Anything {} }
    } else {
        quote! { <#kind as ::farrier_probe::Schema>::SHAPE }
    };
    let default = match &of_field.default {
        Some(default) => {
            let json = &default.json;
            quote! { ::core::option::Option::Some(#json) }
        }
        None if (of_field.has_types_default || defaults_are_derived) && !of_field.is_anything => {
            quote! { <#kind as ::farrier_probe::Schema>::DEFAULT }
        }
        None => quote! { ::core::option::Option::None },
    };
    let bound = |bound: Option<i128>| match bound {
        Some(bound) => quote! { ::core::option::Option::Some(#bound) },
        None => quote! { ::core::option::Option::None },
    };
    let (minimum, maximum) = (bound(of_field.minimum), bound(of_field.maximum));
    let values = &of_field.values;
    let own = std::iter::once((&name, description(&field.attrs)));
    let others = of_field.aliases.iter().map(|alias| (alias, format!("Another name of `{name}`.")));
    own.chain(others)
        .map(|(name, description)| {
            quote! {
                ::farrier_probe::schema::Field {
                    name: #name,
                    description: #description,
                    is_required: #is_required,
                    default: #default,
                    minimum: #minimum,
                    maximum: #maximum,
                    values: &[#(#values),*],
                    shape: &#shape,
                }
            }
        })
        .collect()
}

fn is_option(kind: &Type) -> bool {
    let Type::Path(path) = kind else { return false };
    path.path.segments.last().is_some_and(|segment| segment.ident == "Option")
}

/// The shape of an enum without data.
fn words(of_type: &OfType, variants: &Punctuated<Variant, Token![,]>) -> Result<TokenStream> {
    let mut values = Vec::new();
    for variant in variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(unknown(variant.ident.span()));
        }
        let of_variant = OfField::read(&variant.attrs)?;
        if of_variant.is_skipped {
            continue;
        }
        let name = of_variant.rename.unwrap_or_else(|| of_type.case.of_variant(&variant.ident.to_string()));
        values.extend(std::iter::once(&name).chain(&of_variant.aliases).map(|name| names::json(name)));
    }
    Ok(quote! { ::farrier_probe::schema::Shape::OneOf { values: &[#(#values),*] } })
}
