//! From sections as they were found to a valid plan.

use super::clean::{self, Cleaned};
use super::{
    MAX_POINT_CHARACTERS, MAX_SECTIONS, MAX_TITLE_CHARACTERS, MAX_WORDS, Plan, PlanError,
    PlanSection, repeats,
};

/// A section as a text gave it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    /// The number that it had.
    pub(super) number: Option<u32>,
    pub(super) title: String,
    pub(super) point: String,
    /// May be out of range.
    pub(super) words: Option<u64>,
}

/// A plan of what a text gave: what cannot be used is left out and noted.
pub(super) fn from_drafts(title: &str, drafts: Vec<Draft>) -> Result<Plan, PlanError> {
    let mut notes: Vec<String> = numbering_note(&drafts).into_iter().collect();
    let mut sections = Vec::with_capacity(drafts.len());
    let mut empty = Vec::new();
    for (index, draft) in drafts.into_iter().enumerate() {
        let number = index + 1;
        if clean::is_blank(&draft.title) && clean::is_blank(&draft.point) {
            empty.push(number);
            continue;
        }
        let words = match draft.words {
            Some(words) if words == 0 || words > u64::from(MAX_WORDS) => {
                notes.push(format!(
                    "entry {number} asks for {words} words; the number was left out"
                ));
                None
            }
            words => words.map(|words| words as u32),
        };
        sections.push(PlanSection {
            title: draft.title,
            point: draft.point,
            words,
            repeats: None,
        });
    }
    if let Some(first) = empty.first() {
        notes.push(format!(
            "{} entries without a title and a main point were left out, the first of them is entry {first}",
            empty.len()
        ));
    }
    let mut plan = checked(title, sections)?;
    notes.append(&mut plan.notes);
    Ok(Plan { notes, ..plan })
}

/// A plan of `sections`, all of which have to be usable.
pub(super) fn checked(title: &str, sections: Vec<PlanSection>) -> Result<Plan, PlanError> {
    if sections.is_empty() {
        return Err(PlanError::Empty);
    }
    if sections.len() > MAX_SECTIONS {
        return Err(PlanError::TooMany {
            found: sections.len(),
        });
    }
    let mut notes = Vec::new();
    let mut checked = Vec::with_capacity(sections.len());
    for (index, section) in sections.into_iter().enumerate() {
        checked.push(checked_section(index + 1, &section, &mut notes)?);
    }
    let points: Vec<&str> = checked
        .iter()
        .map(|section| section.point.as_str())
        .collect();
    for (section, repeats) in repeats::find(&points).into_iter().enumerate() {
        checked[section].repeats = repeats;
    }
    let title = bounded(
        title,
        MAX_TITLE_CHARACTERS,
        "the title of the document",
        &mut notes,
    );
    let title = if clean::is_blank(&title) {
        String::new()
    } else {
        title
    };
    Ok(Plan {
        title,
        sections: checked,
        notes,
    })
}

fn checked_section(
    number: usize,
    section: &PlanSection,
    notes: &mut Vec<String>,
) -> Result<PlanSection, PlanError> {
    if let Some(words) = section.words
        && !(1..=MAX_WORDS).contains(&words)
    {
        return Err(PlanError::SectionWords { number, words });
    }
    let what = format!("the title of section {number}");
    let mut title = bounded(&section.title, MAX_TITLE_CHARACTERS, &what, notes);
    let what = format!("the main point of section {number}");
    let mut point = bounded(&section.point, MAX_POINT_CHARACTERS, &what, notes);
    match (clean::is_blank(&title), clean::is_blank(&point)) {
        (true, true) => return Err(PlanError::EmptySection { number }),
        (true, false) => {
            title = clean::one_line(&clean::headline(&point), MAX_TITLE_CHARACTERS).text;
        }
        (false, true) => point.clone_from(&title),
        (false, false) => {}
    }
    Ok(PlanSection {
        title,
        point,
        words: section.words,
        repeats: None,
    })
}

fn bounded(text: &str, limit: usize, what: &str, notes: &mut Vec<String>) -> String {
    let Cleaned { text, cut } = clean::one_line(text, limit);
    if cut {
        notes.push(format!("{what} was cut to {limit} characters"));
    }
    text
}

/// Says that numbers had gaps, restarts or duplicates, by the first that is wrong.
fn numbering_note(drafts: &[Draft]) -> Option<String> {
    let numbered = drafts.iter().enumerate();
    let wrong = numbered
        .filter_map(|(index, draft)| Some((index + 1, draft.number?)))
        .find(|&(position, number)| number as usize != position)?;
    let (position, number) = wrong;
    Some(format!(
        "section {position} was numbered {number}; the sections are numbered in their order now"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_numbers_are_noted_once() {
        let numbers = [1, 2, 4, 4];
        let drafts = numbers.map(|number| Draft {
            number: Some(number),
            title: format!("Title {number}"),
            ..Draft::default()
        });
        let plan = from_drafts("", drafts.to_vec()).unwrap();
        assert_eq!(plan.sections.len(), 4);
        assert_eq!(
            plan.notes,
            ["section 3 was numbered 4; the sections are numbered in their order now"]
        );
    }

    #[test]
    fn empty_entries_and_impossible_targets_are_left_out_with_a_note() {
        let usable = Draft {
            title: "Rome".into(),
            words: Some(99_000_000),
            ..Draft::default()
        };
        let plan = from_drafts("", vec![Draft::default(), usable]).unwrap();
        assert_eq!(plan.sections.len(), 1);
        assert_eq!(
            (plan.sections[0].point.as_str(), plan.sections[0].words),
            ("Rome", None)
        );
        assert_eq!(plan.notes.len(), 2);
    }

    #[test]
    fn long_texts_are_cut_with_a_note() {
        let long = Draft {
            title: "a ".repeat(500),
            point: "b ".repeat(5_000),
            ..Draft::default()
        };
        let plan = from_drafts("", vec![long]).unwrap();
        assert!(plan.sections[0].title.chars().count() <= MAX_TITLE_CHARACTERS);
        assert!(plan.sections[0].point.chars().count() <= MAX_POINT_CHARACTERS);
        assert_eq!(plan.notes.len(), 2);
    }
}
